"""What the bot says by itself: once, in order, and edited when its words change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from telegram_bot import bulletins
from telegram_bot.buttons import Button
from telegram_bot.models import Bulletin
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House
from tests.telegram_bot.pressing import labels

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

tell, retell = sync_to_async(bulletins.tell), sync_to_async(bulletins.retell)
BUTTONS = [[Button("Approve", "admit:1")]]


def said(house: House, chat_id: int = ALICE) -> list[str]:
    return [message.text for message in house.telegram.bot_messages(chat_id)]


@sync_to_async
def bulletin() -> Bulletin:
    return Bulletin.objects.get()


@sync_to_async
def wait_is_over() -> None:
    Bulletin.objects.update(not_before=timezone.now() - timedelta(seconds=1))


async def test_a_bulletin_goes_out_once_in_each_chat_with_its_buttons(house: House) -> None:
    assert await tell("access:1", ALICE, "Bob asks.", BUTTONS)
    assert not await tell("access:1", ALICE, "Bob asks.", BUTTONS)
    assert await tell("access:1", GROUP, "Bob asks.", BUTTONS)
    for _ in range(2):
        await house.notify()
    assert (said(house), said(house, GROUP)) == (["Bob asks."], ["Bob asks."])
    assert labels(house.telegram.bot_messages(GROUP)[0]) == [["Approve"]]


async def test_other_words_are_edited_into_every_message(house: House) -> None:
    for chat_id in (ALICE, GROUP):
        await tell("access:1", chat_id, "Bob asks.", BUTTONS)
    await house.notify()
    assert await retell("access:1", "Olga said yes.") == 2
    house.herald = bulletins.Herald(house.application.bot)
    await house.notify()
    for chat_id in (ALICE, GROUP):
        [message] = house.telegram.bot_messages(chat_id)
        assert (message.text, message.buttons) == ("Olga said yes.", [])


async def test_words_that_change_before_they_are_sent_are_sent_as_they_are_then(house: House) -> None:
    await tell("access:1", ALICE, "Bob asks.")
    await retell("access:1", "Olga said yes.")
    await house.notify()
    assert said(house) == ["Olga said yes."]
    assert house.telegram.calls("editMessageText") == []


async def test_one_that_telegram_did_not_take_is_sent_later(house: House) -> None:
    house.telegram.fail("sendMessage", retry_after=1)
    await tell("access:1", ALICE, "Bob asks.")
    await house.notify()
    assert (said(house), (await bulletin()).due) == ([], True)
    house.herald.bot.rate_limiter._paused_until.clear()  # type: ignore[union-attr]
    await wait_is_over()
    await house.notify()
    assert (said(house), (await bulletin()).due) == (["Bob asks."], False)


async def test_one_that_may_have_arrived_is_not_sent_again(house: House) -> None:
    house.telegram.fail("sendMessage", "drop")
    await tell("access:1", ALICE, "Bob asks.")
    await house.notify()
    assert (await bulletin()).error.startswith("UNKNOWN")
    assert not (await bulletin()).due


async def test_a_bot_that_died_while_sending_does_not_send_it_twice(house: House) -> None:
    await tell("access:1", ALICE, "Bob asks.")
    await sync_to_async(Bulletin.objects.update)(sending_at=timezone.now())
    await house.notify()
    assert said(house) == []
    assert await sync_to_async(bulletins.close_unknown)() == 1


async def test_a_person_who_has_blocked_the_bot_holds_up_nobody(house: House) -> None:
    house.telegram.block(ALICE)
    await tell("access:1", ALICE, "You have access.")
    await tell("access:1", GROUP, "Bob asks.")
    await house.notify()
    assert (said(house), said(house, GROUP)) == ([], ["Bob asks."])
    assert not await sync_to_async(Bulletin.objects.filter(due=True).exists)()


async def test_a_group_that_moves_on_is_told_at_its_new_place(house: House) -> None:
    house.telegram.add_chat(-50, "group", "Operators")
    await tell("access:1", -50, "Bob asks.", BUTTONS)
    await house.notify()
    house.telegram.migrate(-50, -100050)
    await retell("access:1", "Olga said yes.")
    await house.notify()
    assert said(house, -100050) == ["Olga said yes."]


async def test_nothing_is_left_of_what_was_said_of_a_person_who_is_erased(house: House) -> None:
    await tell("access:1", GROUP, "Bob asks.", BUTTONS, about=BOB)
    await tell("outcome:1", BOB, "You have access.", about=BOB)
    await house.notify()
    await sync_to_async(bulletins.forget)(BOB)
    await house.notify()
    [message] = house.telegram.bot_messages(GROUP)
    assert (message.text, message.buttons) == ("This was about somebody who has deleted everything.", [])
    assert await kept() == [(None, "This was about somebody who has deleted everything.")]


async def test_old_ones_are_forgotten_but_not_those_that_still_have_buttons(house: House) -> None:
    await tell("access:1", ALICE, "Bob asks.", BUTTONS)
    await tell("outcome:1", BOB, "You have access.")
    await house.notify()
    await sync_to_async(Bulletin.objects.update)(changed_at=timezone.now() - timedelta(days=31))
    assert await sync_to_async(bulletins.forget_old)() == 1
    assert (await bulletin()).topic == "access:1"


@sync_to_async
def kept() -> list[tuple[Any, str]]:
    return list(Bulletin.objects.values_list("about", "text"))
