"""The owner's three levers, pulled on the admin's own pages, as the person in the chat sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.telegram_bot.conftest import ALICE, Finish, House, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

Post = Callable[..., Any]
ROW = "admin:generations_generation"
POLICY = {
    "greeting": "Hi!",
    "access": "open",
    "terms": "",
    "review": "auto",
    "default_preset": "exact",
    "presets": ["exact", "balanced"],
    "daily_limit": 50,
    "hourly_limit": 0,
    "running_limit": 0,
    "waiting_limit": 5,
    "queue_limit": 200,
    "groups_enabled": "on",
    "group_daily_limit": 0,
    "language_note": "on",
    "max_frames": 0,
    "max_steps": 0,
    "max_pixels": 0,
    "quiet_from": "",
    "quiet_until": "",
    "reactions": "",
    "pause_notice": "",
    "operators_chat_id": "",
}


@pytest.fixture
def post(transactional_db: None) -> Post:
    """The operator's browser: it logs in by the form, and posts the admin's own forms."""

    def send(address: str, /, *arguments: Any, **values: Any) -> str:
        client = Client()
        if not User.objects.exists():
            User.objects.create_superuser("olga", password="a long password")
        client.post(reverse("admin:login"), {"username": "olga", "password": "a long password"})
        answer = client.post(reverse(address, args=arguments), values, follow=True)
        assert answer.status_code == 200
        assert "errorlist" not in answer.content.decode()
        return answer.content.decode()

    return sync_to_async(send)


async def test_a_held_prompt_that_is_approved_becomes_a_video(house: House, post: Post, render: Finish) -> None:
    await post("admin:generations_policy_change", 1, **POLICY | {"review": "before_generation"})
    [status] = await house.say("a red circle moving right")
    assert status.text == "Waiting for an operator to approve it."

    [row] = await jobs()
    await post(f"{ROW}_lever", row.pk, "approve")
    await house.show_status()
    [status] = house.telegram.bot_messages(ALICE)
    assert status.text == "Queued, 1 of 1"

    await render()
    await house.deliver()
    [status] = house.telegram.bot_messages(ALICE)
    assert status.video is not None


async def test_a_held_prompt_that_is_refused_ends_in_the_operators_words(house: House, post: Post) -> None:
    await post("admin:generations_policy_change", 1, **POLICY | {"review": "before_generation"})
    await house.say("a famous person")
    [row] = await jobs()
    await post(f"{ROW}_reject", row.pk, reason="No real people, please.")
    await house.deliver()
    [status] = house.telegram.bot_messages(ALICE)
    assert status.text == "An operator declined this prompt. No real people, please."


async def test_the_sixth_prompt_of_a_day_is_refused_once_the_limit_is_five(
    house: House, post: Post, render: Finish
) -> None:
    for number in range(4):
        await house.say(f"prompt {number}")
        await render()
    await post("admin:generations_policy_change", 1, **POLICY | {"daily_limit": 5})
    await house.say("the fifth")
    await render()
    refusal = (await house.say("the sixth"))[-1].text
    assert refusal.startswith("You have used your 5 videos of today: 0 of 5 left. This resets at 00:00 (UTC), in ")
    assert len(await jobs()) == 5


async def test_a_rerun_with_another_prompt_arrives_in_the_same_chat(house: House, post: Post, render: Finish) -> None:
    # A full day for Alice: what an operator runs again is not hers to pay.
    await set_policy(daily_limit=1)
    await house.say("a red circle moving right")
    first = await render()
    await house.deliver()

    shown = ("preset", "negative_prompt", "frames", "width", "height", "steps", "guidance_scale")
    same = {name: getattr(first, name) for name in shown}
    await post(f"{ROW}_rerun", first.pk, **same, prompt="a blue square growing", seed=7)
    [_, again] = await jobs()
    assert (again.parent_id, again.prompt, again.seed, again.chat_id) == (first.pk, "a blue square growing", 7, ALICE)

    await render(again)
    await house.deliver()
    one, two = house.telegram.bot_messages(ALICE)
    assert one.video is not None
    assert two.video is not None
    assert two.text.startswith("a blue square growing\n\nSeed 7 ")
