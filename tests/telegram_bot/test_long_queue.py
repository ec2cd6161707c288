"""To read a long queue takes long, so it is read once for all who ask within a moment; edits look at its beginning."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from generations.models import Generation
from telegram_bot.delivery import outlook, rows, status
from telegram_bot.delivery.outlook import Outlook
from tests.telegram_bot.conftest import ALICE, BOB, Finish, House
from tests.telegram_bot.test_status import Clock

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

CAROL = 1003


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outlook, "time", clock)
    monkeypatch.setattr(status, "time", clock)
    monkeypatch.setattr(outlook, "LONG_QUEUE", 1)
    monkeypatch.setattr(Outlook, "_kept", None)
    return clock


async def test_a_place_in_a_long_queue_is_at_most_two_seconds_old(house: House, clock: Clock, render: Finish) -> None:
    for text in ("one", "two"):
        await house.say(text, BOB)
    await house.say("mine")
    told = [(await house.say("/status"))[-1].text]
    await render()
    told.append((await house.say("/status"))[-1].text)
    clock.now += 2.1
    told.append((await house.say("/status"))[-1].text)
    assert told == ["Queued, 2 of 3: mine", "Queued, 2 of 3: mine", "Queued, 1 of 2: mine"]


async def test_what_was_just_accepted_has_its_place_at_once(house: House, clock: Clock) -> None:
    await house.say("one", BOB)
    await house.say("two", BOB)
    assert (await house.say("mine"))[-1].text == "Queued, 2 of 3"
    assert (await house.say("hers", CAROL))[-1].text == "Queued, 3 of 4"
    assert (await house.say("/status", CAROL))[-1].text == "Queued, 3 of 4: hers"


async def test_every_status_message_of_a_long_queue_is_looked_at_in_its_turn(
    house: House, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [ALICE, BOB, CAROL, 1004, 1005]
    for person in people:
        await house.say("a cat", person)
    await sync_to_async(Generation.objects.update)(status_text="")
    monkeypatch.setattr(rows, "NEXT", 2)
    monkeypatch.setattr(rows, "FURTHER", 1)
    looked_at = []
    for _ in range(4):
        looked_at.append({edit.chat_id for edit in await house.courier.board.due(set())})
        clock.now += 60
    assert all({ALICE, BOB} < chats and len(chats) == 3 for chats in looked_at)
    assert set().union(*looked_at) == set(people)
