"""The policy form: one row, checked, and effective with the next message."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from generations import limits, services
from generations.engine.card import InvalidSpec, ModelCard
from generations.models import Policy, Status
from generations.services import Person

pytestmark = [pytest.mark.services, pytest.mark.django_db]

FORM = "/admin/generations/policy/1/change/"


def values(**changes: Any) -> dict[str, Any]:
    shown = {
        "greeting": "Hi!",
        "access": "open",
        "terms": "",
        "review": "auto",
        "default_preset": "exact",
        "presets": list(ModelCard().presets),
        "daily_limit": 50,
        "hourly_limit": 0,
        "running_limit": 0,
        "waiting_limit": 5,
        "queue_limit": 200,
        "max_frames": 0,
        "max_steps": 0,
        "max_pixels": 0,
        "groups_enabled": "on",
        "group_daily_limit": 0,
        "language_note": "on",
        "quiet_from": "",
        "quiet_until": "",
        "reactions": "",
        "pause_notice": "",
        "operators_chat_id": "",
    }
    return shown | changes


def ask(number: int, **changes: Any) -> Any:
    return services.submit(Person(4711), "a red circle", request_key=f"ask:{number}", **changes)


def test_the_menu_leads_straight_to_the_form(page: Client) -> None:
    answer = page.get("/admin/generations/policy/", follow=True)
    assert answer.redirect_chain == [(FORM, 302)]
    assert "Every prompt is rendered at once" in answer.content.decode()


def test_a_new_limit_binds_the_next_message_and_says_what_is_left(page: Client) -> None:
    Policy.current()
    ask(1)
    page.post(FORM, values(daily_limit=2))
    ask(2)
    with pytest.raises(limits.LimitReached) as refusal:
        ask(3)
    assert (refusal.value.rule, refusal.value.limit) == ("daily", 2)
    assert refusal.value.retry_at is not None
    page.post(FORM, values(daily_limit=3))
    assert ask(3).status == Status.QUEUED


def test_review_before_generation_holds_the_next_prompt(page: Client) -> None:
    Policy.current()
    assert ask(1).status == Status.QUEUED
    page.post(FORM, values(review="before_generation"))
    assert ask(2).status == Status.PENDING_REVIEW


def test_the_next_prompt_is_rendered_with_the_new_default_preset(page: Client) -> None:
    Policy.current()
    assert ask(1).preset == "exact"
    page.post(FORM, values(default_preset="balanced"))
    assert (ask(2).preset, ask(2).steps) == ("balanced", 25)


def test_people_may_choose_only_what_is_on_offer(page: Client) -> None:
    everything = page.get(FORM).content.decode()
    assert everything.count('name="presets"') == len(re.findall('name="presets"[^>]* checked', everything)) > 1
    page.post(FORM, values(presets=["exact", "draft"]))
    assert ask(1, preset="draft").preset == "draft"
    with pytest.raises(InvalidSpec, match=r"^preset must be exact or draft, not balanced\.$"):
        ask(2, preset="balanced")
    page.post(FORM, values())
    assert Policy.current().presets == [], "all of them, those of a later version too"
    assert ask(3, preset="balanced").preset == "balanced"


def test_people_may_not_ask_for_more_than_the_caps(page: Client) -> None:
    Policy.current()
    page.post(FORM, values(max_frames=12, max_steps=20, max_pixels=128 * 128))
    row = ask(1)
    assert (row.frames, row.steps, row.width, row.height) == (12, 20, 128, 128), "the defaults come down to the caps"
    with pytest.raises(InvalidSpec, match=r"^frames must be a whole number from 1 to 12, not 13\.$"):
        ask(2, frames=13)
    with pytest.raises(InvalidSpec, match=r"^steps must be a whole number from 1 to 20, not 21\.$"):
        ask(3, steps=21)
    with pytest.raises(InvalidSpec, match=r"^width: width times height may be 16384 at most, not 136x128\.$"):
        ask(4, width=136)
    page.post(FORM, values())
    assert ask(5, frames=32, steps=100, width=576, height=576).frames == 32


def test_the_policy_says_who_changed_it_and_when(page: Client) -> None:
    before = Policy.current().updated_at
    page.post(FORM, values(greeting="Welcome\r\nall!"))
    policy = Policy.current()
    assert (policy.greeting, str(policy.updated_by)) == ("Welcome\nall!", "olga")
    assert policy.updated_at > before
    assert "greeting" in LogEntry.objects.get().get_change_message()


@pytest.mark.parametrize(
    "wrong",
    [
        {"daily_limit": -1},
        {"daily_limit": ""},
        {"waiting_limit": "many"},
        {"queue_limit": 100_001},
        {"max_frames": -1},
        {"max_pixels": 64},
        {"max_pixels": 10_000_001},
        {"daily_limit": 2**31},
        {"review": "never"},
        {"default_preset": "quick"},
        {"presets": []},
        {"presets": ["exact", "quick"]},
        {"default_preset": "draft", "presets": ["exact", "fast"]},
        {"greeting": ""},
        {"greeting": "\u200b\n "},
        {"greeting": "x" * 1501},
    ],
)
def test_a_wrong_value_is_refused_and_nothing_is_saved(page: Client, wrong: dict[str, Any]) -> None:
    before = Policy.current()
    answer = page.post(FORM, values(**wrong))
    assert answer.status_code == 200
    assert "Please correct the error below." in answer.content.decode()
    assert Policy.current().updated_at == before.updated_at
