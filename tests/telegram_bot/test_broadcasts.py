"""Operators tell many people something, or one: once each, at a pace, and nobody who wants none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone

from generations import access, operating
from generations.models import AuditEntry, Policy, Requester, Tier
from telegram_bot import broadcasts, bulletins, messages
from telegram_bot.models import Broadcast, Bulletin
from tests.telegram_bot.conftest import ALICE, BOB, House, set_policy
from tests.telegram_bot.pressing import last, press

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

MORE = "\n\nYou want no announcements? Say so under /settings."


def said(house: House, chat_id: int) -> list[str]:
    return [message.text for message in house.telegram.bot_messages(chat_id)]


@sync_to_async
def people(house: House, number: int, **values: Any) -> list[int]:
    ids = [5000 + each for each in range(number)]
    for user_id in ids:
        house.telegram.add_user(user_id, f"Person {user_id}")
        house.telegram.add_chat(user_id)
        Requester.objects.create(user_id=user_id, **values)
    return ids


@sync_to_async
def begin(**values: Any) -> Broadcast:
    broadcast = Broadcast.objects.create(**{"text": "New model tonight!", "per_minute": 60, **values})
    assert broadcasts.begin(broadcast, by=olga())
    return broadcast


def olga() -> User:
    return User.objects.get_or_create(username="olga")[0]


@sync_to_async
def progress(broadcast: Broadcast) -> tuple[str, int, int, int]:
    broadcast.refresh_from_db()
    seen = broadcasts.progress(broadcast)
    return broadcast.state, seen.reached, seen.missed, seen.waiting


look, stop = sync_to_async(broadcasts.look), sync_to_async(broadcasts.stop)


async def go_on(house: House, times: int = 1) -> None:
    for _ in range(times):
        await look()
        await house.notify()


async def test_everybody_reads_it_once_and_in_their_language_how_to_get_no_more(house: House) -> None:
    first, second = await people(house, 2)
    await sync_to_async(Requester.objects.filter(user_id=second).update)(language="de")
    broadcast = await begin()
    await go_on(house, 4)
    assert said(house, first) == ["New model tonight!" + MORE]
    [german] = said(house, second)
    assert german.startswith("New model tonight!\n\nDu möchtest")
    assert await progress(broadcast) == ("done", 2, 0, 0)


async def test_so_many_are_told_at_a_time_as_the_rate_says_and_no_more_than_may_wait(house: House) -> None:
    await people(house, 5)
    # 60 a minute are two for each look.
    broadcast = await begin()
    await look()
    assert await progress(broadcast) == ("sending", 0, 0, 2)
    await look()
    assert await progress(broadcast) == ("sending", 0, 0, 4)
    await sync_to_async(Broadcast.objects.update)(per_minute=900)
    for _ in range(3):
        await look()
    assert await progress(broadcast) == ("sending", 0, 0, 5)
    await go_on(house)
    await look()
    assert await progress(broadcast) == ("done", 5, 0, 0)


async def test_while_telegram_is_slow_no_more_than_fifty_wait(house: House) -> None:
    await people(house, 60)
    broadcast = await begin(per_minute=900)
    for _ in range(4):
        await look()
    assert await progress(broadcast) == ("sending", 0, 0, broadcasts.MOST_WAITING)


async def test_whoever_is_banned_or_wants_none_is_left_alone(house: House) -> None:
    await people(house, 1)
    await people_with(house, 6001, banned_at=timezone.now())
    await people_with(house, 6002, no_news=True)
    broadcast = await begin()
    assert broadcast.people == 1
    await go_on(house, 3)
    assert (said(house, 6001), said(house, 6002)) == ([], [])
    assert await progress(broadcast) == ("done", 1, 0, 0)


@sync_to_async
def people_with(house: House, user_id: int, **values: Any) -> None:
    house.telegram.add_user(user_id, f"Person {user_id}")
    house.telegram.add_chat(user_id)
    Requester.objects.create(user_id=user_id, **values)


async def test_it_may_go_to_a_tier_or_to_those_who_were_there_lately(house: House) -> None:
    gold = await sync_to_async(Tier.objects.create)(name="Gold")
    now = timezone.now()
    await people_with(house, 6001, tier=gold, last_served_at=now - timedelta(days=2))
    await people_with(house, 6002, tier=gold, last_served_at=now - timedelta(days=20))
    await people_with(house, 6003, last_served_at=now)
    broadcast = await begin(tier=gold, active_days=7)
    assert broadcast.people == 1
    await go_on(house, 3)
    assert [len(said(house, user_id)) for user_id in (6001, 6002, 6003)] == [1, 0, 0]


async def test_whoever_has_blocked_the_bot_is_counted_and_holds_up_nobody(house: House) -> None:
    first, second = await people(house, 2)
    house.telegram.block(first)
    broadcast = await begin()
    await go_on(house, 3)
    assert (said(house, first), len(said(house, second))) == ([], 1)
    assert await progress(broadcast) == ("done", 1, 1, 0)


async def test_once_it_is_stopped_nobody_more_reads_it(house: House) -> None:
    ids = await people(house, 6)
    broadcast = await begin()
    await go_on(house)
    await look()
    assert await stop(broadcast, by=await sync_to_async(olga)())
    await go_on(house, 3)
    assert [len(said(house, user_id)) for user_id in ids] == [1, 1, 0, 0, 0, 0]
    assert await progress(broadcast) == ("stopped", 2, 0, 0)
    assert not await stop(broadcast, by=await sync_to_async(olga)())


async def test_a_bot_that_was_killed_goes_on_where_it_was(house: House) -> None:
    ids = await people(house, 5)
    await begin()
    await go_on(house)
    house.restart()
    await go_on(house, 4)
    assert [len(said(house, user_id)) for user_id in ids] == [1] * 5


async def test_what_else_the_bot_has_to_say_goes_on_between(house: House) -> None:
    await people(house, 60)
    await begin(per_minute=900)
    await look()
    await sync_to_async(bulletins.tell)("alert:1", BOB, "The disk is full.")
    waiting = await sync_to_async(lambda: list(Bulletin.objects.filter(due=True).order_by("pk")))()
    # Behind no more than what one look has written.
    assert [bulletin.chat_id for bulletin in waiting].index(BOB) == 30


async def test_it_is_begun_once_and_stands_in_the_audit_log(house: House) -> None:
    await people(house, 3)
    broadcast = await begin()
    assert not await sync_to_async(broadcasts.begin)(broadcast, by=await sync_to_async(olga)())
    await stop(broadcast, by=await sync_to_async(olga)())
    entries = await sync_to_async(lambda: list(AuditEntry.objects.order_by("pk").values_list("action", "after")))()
    assert entries == [
        ("begun", {"state": "sending", "people": 3}),
        ("stopped", {"state": "stopped", "people": 3}),
    ]


async def test_announcements_are_refused_under_settings(house: House) -> None:
    menu = (await house.say("/settings"))[-1]
    assert await press(house, menu, "not wanted") == "Saved."
    assert "\nAnnouncements: not wanted" in last(house).text
    broadcast = await begin()
    assert broadcast.people == 0
    await go_on(house)
    assert (await progress(broadcast))[0] == "done"


# --- to one person


async def test_a_message_to_one_person_says_who_writes_and_is_in_the_log(house: House) -> None:
    await house.say("/start")
    person = await sync_to_async(lambda: Requester.objects.get_or_create(user_id=ALICE)[0])()
    await sync_to_async(messages.write)(person, "Please be kind.", by=await sync_to_async(olga)())
    await house.notify()
    assert said(house, ALICE)[-1] == "The operators of this bot write:\n\nPlease be kind."
    entry = await sync_to_async(AuditEntry.objects.get)()
    assert (entry.action, entry.note, entry.person_id) == ("messaged", "Please be kind.", person.pk)


async def test_who_is_let_in_or_granted_more_reads_it(house: House) -> None:
    await set_policy(access="ask", daily_limit=5)
    person = await sync_to_async(Requester.objects.create)(user_id=ALICE)
    by = await sync_to_async(olga)()
    assert await sync_to_async(access.admit)(person, by=by)
    assert await sync_to_async(operating.grant)(person, 3, by=by)
    await house.notify()
    assert said(house, ALICE) == [
        "You have access. Write what the video should show.",
        "You may have 3 videos more today.",
    ]
    # Where everybody is let in, nobody is told that they are.
    await sync_to_async(access.withdraw_access)(person, by=by)
    await sync_to_async(Policy.objects.update)(access="open")
    assert await sync_to_async(access.admit)(person, by=by)
    await house.notify()
    assert len(said(house, ALICE)) == 2
