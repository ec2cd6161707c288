"""What a person reads when there will be no video: the rule, what is left, and when it ends."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.utils import timezone

from generations.limits import LimitReached
from generations.models import Requester
from telegram_bot import texts
from tests.telegram_bot.conftest import ALICE, Finish, House, base, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

NO_TEXT = "There is no text to make a video from. Describe in words what the video should show."


@pytest.mark.parametrize("text", [" ", "\u200b", "\u2800\u200d"[1:], "\ufe0f", "\x00", "\ud800"])
async def test_invisible_text_is_answered_shortly(house: House, text: str) -> None:
    [answer] = await house.inject(base(text=text))
    assert answer.text == NO_TEXT
    assert await jobs() == []


async def test_the_daily_limit_says_what_is_left_and_when_it_resets(house: House, render: Finish) -> None:
    await set_policy(daily_limit=2)
    for text in ("one", "two"):
        await house.say(text)
        await render()
    refusal = (await house.say("three"))[-1]
    pattern = (
        r"You have used your 2 videos of today: 0 of 2 left\. "
        r"This resets at 00:00 \(UTC\), in (\d+ h )?\d+ min\."
    )
    assert re.fullmatch(pattern, refusal.text)
    assert len(await jobs()) == 2


async def test_too_many_waiting_prompts(house: House) -> None:
    await set_policy(waiting_limit=1)
    await house.say("one")
    refusal = (await house.say("two"))[-1]
    assert refusal.text == (
        "You have 1 unfinished video, as many as one person may have at a time. "
        "Send this again when one of them is done."
    )


async def test_a_full_queue(house: House) -> None:
    await set_policy(queue_limit=1)
    await house.say("one")
    [refusal] = await house.say("two", 1002)
    assert refusal.text == "The queue is full: 1 prompt waits already. Please try again in a few minutes."


async def test_a_full_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generations.limits.LEAST_FREE", 2**62)
    [refusal] = await house.say("one")
    assert refusal.text == "There is no room for new videos right now. Please try again later."


async def test_a_banned_person_reads_the_reason(house: House) -> None:
    await sync_to_async(Requester.objects.create)(user_id=ALICE, banned_at=timezone.now(), ban_reason="Spam.")
    [refusal] = await house.say("one")
    assert refusal.text == "You may not use this bot. Spam."


async def test_the_reason_of_a_ban_is_told_once_a_day(house: House) -> None:
    await sync_to_async(Requester.objects.create)(user_id=ALICE, banned_at=timezone.now(), ban_reason="Spam.")
    for _ in range(2):
        answers = await house.say("one")
    assert [answer.text for answer in answers] == ["You may not use this bot. Spam.", "You may not use this bot."]
    await sync_to_async(Requester.objects.update)(told_why_at=timezone.now() - timedelta(hours=25))
    # A day later, and not in the notice of a minute ago.
    house.restart()
    assert (await house.say("one"))[-1].text == "You may not use this bot. Spam."


async def test_a_model_that_cannot_be_read_is_said_so(house: House, settings: LazySettings, tmp_path: object) -> None:
    (folder := str(tmp_path)) and open(f"{folder}/configuration.json", "w").close()
    settings.MODEL = folder
    [answer] = await house.say("one")
    assert answer.text == "The video model is not available right now."
    # The greeting does not need the model.
    assert len(await house.say("/start")) == 2


async def test_every_refusal_is_answered_once_when_its_update_comes_again(house: House) -> None:
    update = base(7, text=" ")
    await house.inject(update)
    house.restart()
    assert len(await house.inject(update)) == 1


def test_a_rule_without_words_of_its_own_still_reads_well() -> None:
    error = LimitReached("new", limit=3, retry_at=timezone.now() + timedelta(minutes=90, seconds=-1))
    assert re.fullmatch(
        r"That is more than is allowed here\. This resets at \d\d:\d\d \(UTC\), in 1 h 30 min\.", texts.refusal(error)
    )
