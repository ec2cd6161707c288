"""The doors that create or stop work: each does its whole job or nothing, and once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection, transaction
from rq import Queue

from generations import operating, services
from generations.engine.card import InvalidSpec
from generations.models import Delivery, Generation, Policy, Requester, Status
from generations.prompts import PromptRefused
from generations.services import Person, Place
from tests.generations.conftest import MakeRow

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

ANN = Person(user_id=2**40, display_name="Ann", username="ann", language_code="de")
CHAT = Place(chat_id=-(2**40), thread_id=7, prompt_message_id=3)


@pytest.fixture
def operator() -> User:
    return User.objects.create(username="op")


def submit(prompt: str = "a red circle", key: str = "update 1", **changes: Any) -> Generation:
    return services.submit(ANN, prompt, request_key=key, place=CHAT, **changes)


def test_an_accepted_prompt_is_a_committed_row_with_a_bell(queue: Queue) -> None:
    row = submit("  A  red circle\n", seed=5)
    row.refresh_from_db()
    assert (row.prompt, row.seed, row.status) == ("  A  red circle\n", 5, Status.QUEUED)
    assert (row.chat_id, row.thread_id, row.prompt_message_id) == (-(2**40), 7, 3)
    assert (row.requester.user_id, row.requester.display_name) == (2**40, "Ann")
    assert row.queued_at is not None
    assert queue.job_ids == [f"gen-{row.pk}-0"]


def test_a_replayed_message_makes_no_second_video(queue: Queue) -> None:
    assert submit() == submit(prompt="another text")
    assert Generation.objects.count() == 1
    assert queue.count == 1


def test_the_same_message_in_two_processes_at_once_makes_one_row(queue: Queue) -> None:
    together = threading.Barrier(6)
    rows: list[int] = []

    def send() -> None:
        try:
            together.wait()
            rows.append(submit().pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows) == 6
    assert len(set(rows)) == 1


def test_a_replay_is_answered_even_when_the_limit_is_reached_by_now(queue: Queue) -> None:
    Policy.current()
    Policy.objects.update(daily_limit=1)
    assert submit() == submit()


def test_no_bell_rings_when_the_transaction_is_rolled_back(queue: Queue) -> None:
    with transaction.atomic():
        submit()
        assert queue.count == 0, "the row is not visible yet"
        transaction.set_rollback(True)
    assert Generation.objects.count() == 0
    assert queue.count == 0


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"prompt": "\u200b"}, PromptRefused),
        ({"width": 65}, InvalidSpec),
        ({"frames": 0}, InvalidSpec),
        ({"seed": -1}, InvalidSpec),
        ({"seed": 2**31}, InvalidSpec),
        ({"steps": 10_000}, InvalidSpec),
        ({"guidance_scale": float("nan")}, InvalidSpec),
        ({"colour": "red"}, InvalidSpec),
        ({"preset": "quick"}, InvalidSpec),
    ],
)
def test_a_refused_prompt_leaves_no_trace(changes: dict[str, Any], refusal: type[Exception], queue: Queue) -> None:
    with pytest.raises(refusal):
        submit(**changes)
    assert Generation.objects.count() == 0
    assert queue.count == 0


def test_every_prompt_gets_a_seed_of_its_own_and_it_is_stored(queue: Queue) -> None:
    seeds = {submit(key=str(number)).seed for number in range(4)}
    assert len(seeds) == 4


def test_a_chosen_preset_is_stored_with_its_steps_and_reaches_the_engine(queue: Queue) -> None:
    own = services.model_card().steps
    row = submit(preset="balanced")
    row.refresh_from_db()
    assert (row.preset, row.steps) == ("balanced", own // 2)
    assert (row.spec().preset, row.spec().steps) == ("balanced", own // 2)
    assert submit(key="update 2").preset == "exact", "unless somebody asks for another"


def test_steps_that_were_asked_for_win_over_the_presets(queue: Queue) -> None:
    row = submit(preset="balanced", steps=13)
    assert (row.preset, row.steps) == ("balanced", 13)


def test_an_unknown_preset_is_refused_with_the_legal_names(queue: Queue) -> None:
    with pytest.raises(InvalidSpec, match=r"^preset must be exact, balanced, .* or \w+, not quick\.$"):
        submit(preset="quick")


def test_turbo_may_be_chosen_once_the_operator_has_a_lora(queue: Queue, settings: LazySettings) -> None:
    settings.TURBO_LORA = "/models/turbo"
    row = submit(preset="turbo")
    assert (row.preset, row.steps) == ("turbo", 4)
    settings.TURBO_LORA = ""
    with pytest.raises(InvalidSpec, match=r"^preset must be .*, not turbo\.$"):
        submit(key="update 2", preset="turbo")


def test_a_default_preset_that_is_gone_gives_way_to_exact(queue: Queue) -> None:
    Policy.current()
    Policy.objects.update(default_preset="gone", presets=["gone"])
    assert submit().preset == "exact"
    with pytest.raises(InvalidSpec, match=r"^preset must be exact, not balanced\.$"):
        submit(key="update 2", preset="balanced")


def test_a_rerun_with_another_preset_takes_its_steps(queue: Queue, operator: User) -> None:
    first = submit(preset="balanced", steps=13)
    kept = services.rerun(first, by=operator)
    assert (kept.preset, kept.steps) == ("balanced", 13)
    own = services.model_card().steps
    changed = services.rerun(first, by=operator, preset="exact")
    assert (changed.preset, changed.steps) == ("exact", own)
    both = services.rerun(first, by=operator, preset="exact", steps=15)
    assert (both.preset, both.steps) == ("exact", 15)


def test_a_held_prompt_waits_without_a_bell_until_it_is_approved(queue: Queue, operator: User) -> None:
    Policy.current()
    Policy.objects.update(review=Policy.Review.BEFORE_GENERATION)
    row = submit()
    assert (row.status, queue.count) == (Status.PENDING_REVIEW, 0)
    assert operating.approve(row, by=operator)
    assert not operating.approve(row, by=operator)
    row.refresh_from_db()
    assert (row.status, row.reviewed_by, queue.count) == (Status.QUEUED, operator, 1)


def test_a_refused_prompt_is_told_with_the_reason(queue: Queue, operator: User, make_row: MakeRow) -> None:
    row = make_row(status=Status.PENDING_REVIEW, chat_id=5)
    assert operating.reject(row, by=operator, reason="Not here, please.")
    assert not operating.approve(row, by=operator)
    row.refresh_from_db()
    assert (row.status, row.public_error, row.delivery) == (Status.REJECTED, "Not here, please.", Delivery.WAITING)


def test_a_rerun_is_a_new_row_with_its_parent_in_the_same_chat(queue: Queue, operator: User) -> None:
    first = submit(seed=5)
    Generation.objects.update(status=Status.FAILED)
    queue.empty()
    again = services.rerun(first, by=operator, seed="same")
    other = services.rerun(first, by=operator, prompt="a blue square", steps=12)
    first.refresh_from_db()
    assert first.status == Status.FAILED, "history stays as it is"
    assert (again.parent, again.seed, again.prompt, again.created_by) == (first, 5, first.prompt, operator)
    assert (again.chat_id, again.thread_id, again.prompt_message_id) == (CHAT.chat_id, 7, 3)
    assert other.seed != 5
    assert (other.prompt, other.steps) == ("a blue square", 12)
    assert queue.count == 2


def test_what_waits_is_cancelled_at_once(queue: Queue) -> None:
    row = submit()
    assert operating.cancel(row, by="requester")
    row.refresh_from_db()
    assert (row.status, row.delivery) == (Status.CANCELLED, Delivery.WAITING)
    assert Generation.objects.claim_next("w") == []
    assert not operating.cancel(row, by="requester")


def test_what_runs_is_asked_to_stop(queue: Queue) -> None:
    row = submit()
    row.start("w")
    assert not row.cancel_wanted("w")
    assert operating.cancel(row, by="requester")
    assert row.cancel_wanted("w")


def test_a_ban_stops_everything_that_the_person_has_waiting(queue: Queue, operator: User, make_row: MakeRow) -> None:
    waiting, held, running, finished = (
        make_row(user_id=1, status=status)
        for status in (Status.QUEUED, Status.PENDING_REVIEW, Status.QUEUED, Status.SUCCEEDED)
    )
    running.start("w")
    others = make_row(user_id=2)
    assert operating.ban(Requester.objects.get(user_id=1), by=operator, reason="spam") == 3
    for row in (waiting, held, running, finished, others):
        row.refresh_from_db()
    assert (waiting.status, held.status) == (Status.CANCELLED, Status.CANCELLED)
    assert running.cancel_wanted("w")
    assert (finished.status, others.status) == (Status.SUCCEEDED, Status.QUEUED)
    operating.unban(waiting.requester, by=operator)
    assert not Requester.objects.get(user_id=1).is_banned


def test_names_that_no_database_can_hold_are_stored_without_the_offending_part() -> None:
    row = services.remember(Person(user_id=1, display_name="\u202e evil\0\ud800" + "x" * 300))
    row.refresh_from_db()
    assert row.display_name.startswith("\u202e evil")
    assert len(row.display_name) == 256
