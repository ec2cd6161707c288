"""The levers on the page of one generation, driven as the operator's browser drives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from generations import services
from generations.engine.base import CheckpointError
from generations.models import Delivery, Generation, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]
Pull = Callable[[Generation, str], str]


def address(name: str, generation: Generation) -> str:
    return reverse(f"admin:generations_generation_{name}", args=[generation.pk])


def rerun_values(**changes: Any) -> dict[str, Any]:
    values = {
        "prompt": "a blue square",
        "negative_prompt": "",
        "seed": 11,
        "frames": 8,
        "width": 128,
        "height": 64,
        "preset": "exact",
        "steps": 25,
        "guidance_scale": 7.5,
    }
    return values | changes


def test_an_approved_prompt_is_queued_and_says_by_whom(prompt: Make, pull: Pull) -> None:
    held = prompt(status=Status.PENDING_REVIEW)
    assert "Approved." in pull(held, "approve")
    held.refresh_from_db()
    assert (held.status, str(held.reviewed_by)) == (Status.QUEUED, "olga")
    assert held.queued_at is not None
    event = held.events.get(kind="approved")
    assert event.actor == "olga"
    assert LogEntry.objects.get(object_id=held.pk).change_message == "Approved."


def test_a_refused_prompt_tells_the_person_the_reason(prompt: Make, page: Client) -> None:
    held = prompt(status=Status.PENDING_REVIEW)
    form = page.get(address("reject", held))
    assert "The person is told this." in form.content.decode()
    answer = page.post(address("reject", held), {"reason": "No brands, please."}, follow=True)
    assert "No brands, please." in answer.content.decode()
    held.refresh_from_db()
    assert (held.status, held.public_error) == (Status.REJECTED, "No brands, please.")
    assert held.delivery == Delivery.WAITING


def test_a_refusal_needs_a_reason(prompt: Make, page: Client) -> None:
    held = prompt(status=Status.PENDING_REVIEW)
    answer = page.post(address("reject", held), {"reason": "  "})
    assert "This field is required." in answer.content.decode()
    held.refresh_from_db()
    assert held.status == Status.PENDING_REVIEW


def test_approving_what_was_cancelled_meanwhile_changes_nothing_and_says_so(prompt: Make, pull: Pull) -> None:
    gone = prompt(status=Status.CANCELLED)
    assert "the state has changed meanwhile" in pull(gone, "approve")
    gone.refresh_from_db()
    assert gone.status == Status.CANCELLED
    assert not LogEntry.objects.exists()


def test_cancelling_a_queued_prompt_ends_it_and_tells_the_person(prompt: Make, pull: Pull) -> None:
    queued = prompt()
    pull(queued, "cancel")
    queued.refresh_from_db()
    assert (queued.status, queued.delivery) == (Status.CANCELLED, Delivery.WAITING)
    assert queued.events.get(kind="cancelled").actor == "olga"


def test_cancelling_a_running_prompt_asks_its_worker_to_stop(prompt: Make, pull: Pull) -> None:
    running = prompt()
    running.start("worker-1")
    text = pull(running, "cancel")
    assert running.cancel_wanted("worker-1")
    assert "Stopping" in text
    # The button is gone: pressing it twice does nothing more.
    assert "lever-cancel" not in text


def test_a_rerun_with_the_same_seed_is_a_new_row_for_the_same_chat(prompt: Make, pull: Pull) -> None:
    old = prompt(status=Status.SUCCEEDED, thread_id=5, negative_prompt="text", steps=30)
    text = pull(old, "rerun-same")
    new = Generation.objects.get(parent=old)
    assert address("change", new) in text
    assert new.spec() == old.spec()
    assert (new.chat_id, new.thread_id, new.prompt_message_id) == (4711, 5, 3)
    assert (new.status, str(new.created_by)) == (Status.QUEUED, "olga")
    old.refresh_from_db()
    assert old.status == Status.SUCCEEDED


def test_a_rerun_with_a_new_seed_changes_only_the_seed(
    prompt: Make, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generations.services.random_seed", lambda: 99)
    old = prompt(status=Status.FAILED)
    pull(old, "rerun-new")
    new = Generation.objects.get(parent=old)
    assert (new.seed, new.prompt) == (99, old.prompt)


def test_the_rerun_form_starts_with_the_old_values(prompt: Make, page: Client) -> None:
    text = page.get(address("rerun", prompt(prompt="a <b>red</b> circle", steps=31))).content.decode()
    assert "a &lt;b&gt;red&lt;/b&gt; circle</textarea>" in text
    assert 'value="31"' in text
    assert 'value="9.0"' in text


def test_a_rerun_with_changes_takes_every_value_of_the_form(prompt: Make, page: Client) -> None:
    old = prompt(status=Status.SUCCEEDED)
    answer = page.post(address("rerun", old), rerun_values(negative_prompt="blur"), follow=True)
    new = Generation.objects.get(parent=old)
    assert answer.redirect_chain == [(address("change", new), 302)]
    assert (new.prompt, new.negative_prompt, new.seed) == ("a blue square", "blur", 11)
    assert (new.frames, new.width, new.height, new.steps, new.guidance_scale) == (8, 128, 64, 25, 7.5)
    old.refresh_from_db()
    assert old.prompt == "a red circle moving right"
    # Lineage is shown on both pages.
    assert address("change", old) in answer.content.decode()
    assert address("change", new) in page.get(address("change", old)).content.decode()


def test_a_rerun_keeps_the_prompt_exactly_as_typed(prompt: Make, page: Client) -> None:
    # Browsers send line ends as CR LF; another prompt would give other frames.
    old = prompt(prompt="  one\ntwo ")
    page.post(address("rerun", old), rerun_values(prompt="  one\r\ntwo "))
    assert Generation.objects.get(parent=old).prompt == old.prompt


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"width": 100}, "width must be a multiple of"),
        ({"frames": 0}, "frames must be a whole number from 1 to 32, not 0."),
        ({"guidance_scale": "nan"}, "Enter a number."),
        ({"guidance_scale": 31}, "guidance_scale must be a number from 1 to 30, not 31.0."),
        ({"seed": 2**31}, "less than or equal to 2147483647"),
        ({"prompt": "\u200b \u2060"}, "There is no text to make a video from."),
        ({"prompt": "x" * 4097}, "A prompt may have 4096 characters; this one has 4097."),
        ({"steps": 0}, "steps must be a whole number from 1 to 100, not 0."),
        ({"preset": ""}, "This field is required."),
        ({"preset": "quick"}, "quick is not one of the available choices."),
    ],
)
def test_a_rerun_that_cannot_be_rendered_is_refused_in_the_form(
    prompt: Make, page: Client, changes: dict[str, Any], complaint: str
) -> None:
    old = prompt()
    answer = page.post(address("rerun", old), rerun_values(**changes))
    assert complaint in answer.content.decode()
    assert not Generation.objects.filter(parent=old).exists()


@pytest.mark.parametrize(
    ("preset", "steps", "rendered"),
    [
        ("balanced", 50, ("balanced", 25)),
        ("balanced", "", ("balanced", 25)),
        ("balanced", 40, ("balanced", 40)),
        ("exact", 40, ("exact", 40)),
        ("exact", "", ("exact", 50)),
    ],
)
def test_another_preset_brings_its_own_steps_unless_they_are_chosen_too(
    preset: str, steps: int | str, rendered: tuple[str, int], prompt: Make, page: Client
) -> None:
    old = prompt(steps=50)
    page.post(address("rerun", old), rerun_values(preset=preset, steps=steps))
    new = Generation.objects.get(parent=old)
    assert (new.preset, new.steps) == rendered


def test_flags_in_a_new_prompt_win_over_the_fields_of_the_form(prompt: Make, page: Client) -> None:
    old = prompt()
    page.post(address("rerun", old), rerun_values(prompt="a cat --seed 3 --frames 9 --preset draft --no text"))
    new = Generation.objects.get(parent=old)
    assert (new.prompt, new.seed, new.frames, new.preset, new.steps) == ("a cat", 3, 9, "draft", 10)
    assert (new.negative_prompt, new.width, new.guidance_scale) == ("text", 128, 7.5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a cat --sede 3", "There is no flag --sede. Did you mean --seed?"),
        ("a cat --steps 999", "--steps must be a whole number from 1 to 100, not 999."),
        ("a cat x2", "x2 asks for several videos; here it is one at a time."),
        ("--seed 3", "There are only flags here, and no text to make a video from."),
    ],
)
def test_a_slip_in_a_flag_is_explained_beside_the_prompt(text: str, complaint: str, prompt: Make, page: Client) -> None:
    old = prompt()
    answer = page.post(address("rerun", old), rerun_values(prompt=text))
    assert answer.context["form"].errors == {"prompt": [complaint]}
    assert Generation.objects.count() == 1


def test_a_prompt_that_ends_like_a_flag_is_run_again_as_it_is(prompt: Make, page: Client) -> None:
    old = prompt(prompt="a field of x2")
    page.post(address("rerun", old), rerun_values(prompt="a field of x2"))
    assert Generation.objects.get(parent=old).prompt == "a field of x2"


def test_a_rerun_keeps_the_preset(prompt: Make, pull: Pull, page: Client) -> None:
    old = prompt(preset="draft", steps=12)
    pull(old, "rerun-new")
    again = Generation.objects.get(parent=old)
    assert (again.preset, again.steps) == ("draft", 12)
    assert '<option value="draft" selected>' in page.get(address("rerun", old)).content.decode()


def test_a_rerun_of_what_the_model_no_longer_draws_leads_to_the_form(prompt: Make, pull: Pull) -> None:
    old = prompt(width=1024)
    text = pull(old, "rerun-same")
    assert "It cannot be rendered as it was" in text
    assert "Queue it" in text


def test_a_rerun_while_the_model_cannot_be_read_says_why(
    prompt: Make, pull: Pull, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise CheckpointError(["configuration.json: cut short"])

    monkeypatch.setattr(services, "model_card", broken)
    old = prompt()
    assert "configuration.json: cut short" in pull(old, "rerun-same")
    assert "configuration.json: cut short" in page.post(address("rerun", old), rerun_values()).content.decode()


def test_a_video_of_unknown_fate_can_be_sent_again(prompt: Make, pull: Pull) -> None:
    lost = prompt(status=Status.SUCCEEDED, delivery=Delivery.UNKNOWN, file="a.mp4", finished_at=timezone.now())
    pull(lost, "resend")
    lost.refresh_from_db()
    assert lost.delivery == Delivery.WAITING
    assert lost.events.get(kind="resend requested").actor == "olga"


def test_only_levers_that_fit_the_state_are_offered(prompt: Make, page: Client) -> None:
    finished = page.get(address("change", prompt(status=Status.SUCCEEDED))).content.decode()
    held = page.get(address("change", prompt(status=Status.PENDING_REVIEW))).content.decode()
    assert [name in finished for name in ("lever-approve", "lever-cancel", "lever-resend")] == [False] * 3
    assert [name in held for name in ("lever-approve", "lever-cancel", "lever-rerun-same")] == [True] * 3


def test_a_lever_is_pulled_by_post_only(prompt: Make, page: Client) -> None:
    held = prompt(status=Status.PENDING_REVIEW)
    assert page.get(reverse("admin:generations_generation_lever", args=[held.pk, "approve"])).status_code == 405
    assert page.post(reverse("admin:generations_generation_lever", args=[held.pk, "explode"])).status_code == 404
    assert page.post(reverse("admin:generations_generation_lever", args=[held.pk + 1, "approve"])).status_code == 404


def test_a_lever_pulled_from_another_site_is_refused(prompt: Make, page: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = page.cookies
    held = prompt(status=Status.PENDING_REVIEW)
    for name in ("reject", "rerun"):
        assert strict.post(address(name, held), {"reason": "x"}).status_code == 403
    assert strict.post(reverse("admin:generations_generation_lever", args=[held.pk, "approve"])).status_code == 403
    held.refresh_from_db()
    assert held.status == Status.PENDING_REVIEW
