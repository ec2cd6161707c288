"""/usage: what is left today, when that changes, and how many may be on their way."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from generations import limits, operating, services
from generations.models import Generation, Status
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, Finish, House, change, job, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


async def usage(house: House, chat_id: int = ALICE, **more: object) -> list[str]:
    return (await house.say("/usage", chat_id, **more))[-1].text.split("\n")


async def test_a_stranger_has_everything_left(house: House) -> None:
    [today, on_its_way] = await usage(house)
    wait = r"in (\d+ h )?\d+ min\."
    assert re.fullmatch(rf"Today you have used 0 of 50 videos; 50 left\. This resets at 00:00 \(UTC\), {wait}", today)
    assert on_its_way == "On their way: 0 of at most 5."


async def test_what_counts_is_what_was_made_or_is_on_its_way_today(
    house: House, render: Finish, admin_user: object
) -> None:
    await set_policy(daily_limit=3, waiting_limit=2)
    await house.say("yesterday's")
    await render()
    await change(await job(), created_at=limits.day()[0] - timedelta(hours=1))
    await house.say("made")
    await render()
    await house.say("on its way")
    await house.say("cancelled")
    await house.say("/cancel")
    await house.say("somebody else's", BOB)
    [_, made, *_] = await jobs()
    await sync_to_async(services.rerun)(made, by=admin_user)
    [today, on_its_way] = await usage(house)
    assert today.startswith("Today you have used 2 of 3 videos; 1 left. This resets at ")
    assert on_its_way == "On their way: 1 of at most 2."
    # And the bot does as it says.
    await house.say("the last one")
    assert (await house.say("one too many"))[-1].text.startswith("You have used your 3 videos of today")


async def test_without_limits_there_is_nothing_to_reset(house: House) -> None:
    await set_policy(daily_limit=0, waiting_limit=0)
    await house.say("a red circle")
    assert await usage(house) == ["Today you have used 1 video. There is no limit per day.", "On their way: 1."]


async def test_a_limit_that_was_lowered_leaves_nothing(house: House) -> None:
    await house.say("one")
    await house.say("two")
    await sync_to_async(Generation.objects.update)(status=Status.SUCCEEDED, created_at=timezone.now())
    await set_policy(daily_limit=1)
    assert (await usage(house))[0].startswith("Today you have used 2 of 1 video; 0 left.")


async def test_a_banned_person_is_told_so(house: House, admin_user: object) -> None:
    await house.say("a red circle")
    await sync_to_async(operating.ban)((await job()).requester, by=admin_user, reason="Too rude.")
    assert await usage(house) == ["You may not use this bot. Too rude."]


async def test_in_a_group_it_is_about_whoever_asks(house: House) -> None:
    await house.say("/video a cat", GROUP, user_id=ALICE)
    assert (await usage(house, GROUP, user_id=BOB))[0].startswith("Today you have used 0 of 50 videos")
    assert (await usage(house, GROUP, user_id=ALICE))[0].startswith("Today you have used 1 of 50 videos")
