"""Each update is handled exactly once, in order per chat, whatever is killed in between."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from generations import services
from telegram_bot import consumer, inbox
from telegram_bot.models import ReceivedUpdate
from tests.telegram_bot.conftest import ALICE, BOB, House, base, jobs, set_policy, updates

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def prompts_of(rows: list[Any]) -> list[str]:
    return [row.prompt for row in rows]


async def test_updates_that_come_again_after_a_restart_are_handled_once(house: House) -> None:
    await set_policy(waiting_limit=0)
    batch = [base(number, text=f"cat {number}") for number in range(500, 511)]
    for update in batch:
        house.telegram.inject(update)
    await house.receive()
    house.restart()
    for update in batch:
        house.telegram.inject(update)
    await house.receive()
    assert prompts_of(await jobs()) == [f"cat {number}" for number in range(500, 511)]
    assert len(house.telegram.bot_messages(ALICE)) == 11


async def test_nothing_is_confirmed_before_it_is_stored(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        house.telegram.say(5000 + number, f"cat {number}")

    def killed(updates: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "store", killed)
        with pytest.raises(KeyboardInterrupt):
            await house.fetch()
    house.restart()
    assert house.telegram.pending_updates() == 30
    await house.receive()
    assert len(await jobs()) == 30
    assert all(len(house.telegram.bot_messages(5000 + number)) == 1 for number in range(30))


async def test_a_bot_killed_between_storing_and_handling_answers_after_its_restart(house: House) -> None:
    for number in range(5):
        house.telegram.say(5000 + number, f"cat {number}")
    await house.fetch()
    # One of them was being handled when the process died.
    assert len(await sync_to_async(inbox.claim)("dead bot")) == 1
    house.restart()
    assert await sync_to_async(inbox.release_all)() == 1
    await house.consumer.run_once()
    assert [len(house.telegram.bot_messages(5000 + number)) for number in range(5)] == [1] * 5
    assert len(await jobs()) == 5


async def test_a_bot_killed_between_the_job_and_its_answer_makes_no_second_job(house: House) -> None:
    update = house.telegram.say(ALICE, "a cat")
    await house.fetch()
    person, place = services.Person(ALICE), services.Place(ALICE)
    key = f"update:{update['update_id']}"
    await sync_to_async(services.submit)(person, "a cat", request_key=key, place=place)
    await house.consumer.run_once()
    [row] = await jobs()
    [status] = house.telegram.bot_messages(ALICE)
    assert (status.text, row.status_message_id) == ("Queued, 1 of 1", status.id)


async def test_a_bot_killed_after_its_answer_does_not_answer_again(house: House) -> None:
    house.telegram.say(ALICE, "a cat")
    await house.receive()
    await sync_to_async(ReceivedUpdate.objects.update)(handled_at=None)
    house.restart()
    await sync_to_async(inbox.release_all)()
    await house.consumer.run_once()
    [row] = await updates()
    assert row.handled_at is not None
    assert len(house.telegram.bot_messages(ALICE)) == 1
    assert len(await jobs()) == 1


async def test_two_processes_share_the_updates_and_handle_none_twice(house: House) -> None:
    for number in range(12):
        house.telegram.say(5000 + number % 4, f"cat {number}")
    await house.fetch()
    other = consumer.Consumer(house.application, "bot 2")
    await asyncio.gather(house.consumer.run_once(), other.run_once())
    # Whoever had nothing left to begin goes home; the rest is done by the other.
    await house.consumer.run_once()
    assert len(await jobs()) == 12
    for chat in range(4):
        assert len(house.telegram.bot_messages(5000 + chat)) == 3
    assert {row.attempts for row in await updates()} == {1}


async def test_one_chats_updates_are_handled_in_order(house: House) -> None:
    for number in range(5):
        house.telegram.say(ALICE, f"cat {number}")
        house.telegram.say(BOB, f"dog {number}")
    await house.receive()
    rows = await jobs()
    assert [row.prompt for row in rows if row.chat_id == ALICE] == [f"cat {number}" for number in range(5)]
    assert [row.prompt for row in rows if row.chat_id == BOB] == [f"dog {number}" for number in range(5)]


async def test_an_earlier_update_of_the_chat_holds_back_the_later_ones_and_nobody_else(house: House) -> None:
    def store_and_claim() -> list[int]:
        inbox.store([base(1, text="one"), base(2, text="two")])
        bobs = base(3, text="three")
        bobs["message"]["chat"] = {"id": BOB, "type": "private"}
        inbox.store([bobs])
        claimed = [*inbox.claim("a"), *inbox.claim("b"), *inbox.claim("c")]
        return [row.update_id for row in claimed]

    assert await sync_to_async(store_and_claim)() == [1, 3]


async def test_a_handler_that_fails_is_tried_three_times_and_then_passed_over(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = services.prompts.clean

    def broken(text: str) -> str:
        if text == "a cat":
            raise RuntimeError("no luck")
        return clean(text)

    house.telegram.say(ALICE, "a cat")
    house.telegram.say(ALICE, "/start")
    house.telegram.say(BOB, "a dog")
    with monkeypatch.context() as patch:
        patch.setattr(services.prompts, "clean", broken)
        await house.receive()
        # Held back meanwhile, in order; what came in the same breath from somebody else is not.
        assert house.telegram.bot_messages(ALICE) == []
        assert [message.text for message in house.telegram.bot_messages(BOB)] == ["Queued, 1 of 1"]
        for _ in range(3):
            await sync_to_async(ReceivedUpdate.objects.filter(decided_at=None).update)(lease_until=None)
            await house.consumer.run_once()
    first, second, _ = await updates()
    assert (first.error, first.attempts) == ("RuntimeError: no luck", 3)
    assert first.handled_at is not None
    assert (second.error, second.attempts) == ("", 1)
    sorry, greeting = house.telegram.bot_messages(ALICE)
    assert sorry.text == "Something went wrong here, and your message was not handled. Please send it again later."
    assert greeting.text.startswith("Hello!")


async def test_updates_left_behind_by_a_database_that_was_away_are_handled_when_it_is_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("the server closed the connection")

    house.telegram.say(ALICE, "a cat")
    house.telegram.say(BOB, "a dog")
    await house.fetch()
    with monkeypatch.context() as patch:
        patch.setattr(consumer, "settle", away)
        patch.setattr(inbox, "try_again", away)
        with pytest.raises(OperationalError):
            await house.consumer.run_once()
    await house.consumer.run_once()
    assert prompts_of(await jobs()) == ["a cat", "a dog"]
    assert {row.attempts for row in await updates()} == {1}


async def test_what_was_asked_just_before_a_group_moved_is_answered_in_the_new_one(house: House) -> None:
    group = {"id": -100, "type": "group", "title": "Friends"}
    asked = base(1, text=f"/video@{house.application.bot.username} a cat", chat=group)
    moved = base(2, chat=group, text=None, migrate_to_chat_id=-100200)
    await sync_to_async(inbox.store)([asked, moved])
    await house.consumer.tick()
    [row] = await jobs()
    assert (row.chat_id, row.prompt_message_id) == (-100200, None)


async def test_an_answer_that_could_not_be_sent_is_sent_later(house: House) -> None:
    house.telegram.say(ALICE, "/start")
    await house.fetch()
    house.telegram.refuse_connections(0.3)
    await house.consumer.run_once()
    [row] = await updates()
    assert (row.handled_at, row.answered_at, row.owner) == (None, None, "")
    assert row.error.startswith("NOT_SENT: httpx.Connect")
    await asyncio.sleep(0.5)
    await sync_to_async(ReceivedUpdate.objects.update)(lease_until=None)
    await house.consumer.run_once()
    assert len(house.telegram.bot_messages(ALICE)) == 1


async def test_an_answer_is_given_up_after_an_hour(house: House) -> None:
    house.telegram.say(ALICE, "/start")
    await house.fetch()
    await sync_to_async(ReceivedUpdate.objects.update)(received_at=timezone.now() - timedelta(hours=2))
    house.telegram.fail("sendMessage", retry_after=30, times=-1)
    await house.consumer.run_once()
    [row] = await updates()
    assert row.handled_at is not None
    assert row.error.startswith("WAIT: ")


def test_a_stored_update_is_kept_as_it_came() -> None:
    update = base(1, text="NUL \x00, half a pair \ud83d, 😀")
    assert inbox.store([update]) == 1
    row = ReceivedUpdate.objects.get()
    assert json.loads(row.payload) == update
    assert row.chat == str(ALICE)


def test_only_new_updates_count() -> None:
    assert inbox.store([base(1), base(2), base(2)]) == 2
    assert inbox.store([base(2), base(3)]) == 1


@pytest.mark.parametrize("update_id", [None, "x", 2**70, True, 1.5])
def test_an_update_without_a_usable_number_is_left_out(update_id: object) -> None:
    assert inbox.store([{**base(1), "update_id": update_id}, base(2)]) in {1, 2}
    assert 2 in ReceivedUpdate.objects.values_list("update_id", flat=True)


@pytest.mark.parametrize("chat_id", ["a\x00b", None, {}, 2**70, -(2**63)])
def test_no_chat_id_can_keep_a_batch_from_being_stored(chat_id: object) -> None:
    odd = base(1, chat={"id": chat_id, "type": "private"})
    assert inbox.store([odd, base(2)]) == 2
    claimed = [*inbox.claim("a"), *inbox.claim("b")]
    assert [row.update_id for row in claimed] == [1, 2]


def test_handled_updates_are_forgotten_after_a_week() -> None:
    inbox.store([base(1), base(2), base(3)])
    ReceivedUpdate.objects.filter(update_id=1).update(handled_at=timezone.now() - timedelta(days=8))
    ReceivedUpdate.objects.filter(update_id=2).update(handled_at=timezone.now())
    assert inbox.forget_old() == 1
    assert list(ReceivedUpdate.objects.values_list("update_id", flat=True)) == [2, 3]
