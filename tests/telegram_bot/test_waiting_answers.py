"""What was decided is said later, once and in order; equal answers that wait in one chat go out as one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone

from generations import services
from telegram_bot import consumer, decisions, inbox, outbox, texts
from telegram_bot.models import ReceivedUpdate
from telegram_bot.speaker import Speaker
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House, base, jobs, set_policy, updates

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

TOO_MANY = (
    "You have 1 unfinished video, as many as one person may have at a time. Send this again when one of them is done."
)


async def decide(house: House) -> None:
    """All that was sent is handled, and nothing is answered yet."""
    await house.fetch()
    await house.consumer.tick()


async def speak(house: House) -> None:
    await house.consumer.run_once()


async def test_a_prompt_is_accepted_before_anybody_can_be_answered(house: House) -> None:
    house.telegram.refuse_connections(0.3)
    await sync_to_async(inbox.store)([base(1, text="a cat")])
    await house.consumer.tick()
    [row], [update] = await jobs(), await updates()
    assert (row.prompt, update.announces, update.answered_at, update.handled_at) == ("a cat", row.pk, None, None)
    assert update.decided_at is not None
    # The next test speaks to the same stand-in.
    await asyncio.sleep(0.5)


async def test_equal_answers_that_wait_are_given_as_one_reply_to_the_last_message(house: House) -> None:
    await set_policy(waiting_limit=1)
    for number in range(4):
        house.telegram.say(ALICE, f"cat {number}")
    await decide(house)
    await speak(house)
    queued, refusal = house.telegram.bot_messages(ALICE)
    assert (queued.text, queued.reply_to) == ("Queued, 1 of 1", 1)
    assert (refusal.text, refusal.reply_to) == (texts.for_several(TOO_MANY, 3), 4)
    assert refusal.text == TOO_MANY + "\n\n(This answers your last 3 messages.)"
    assert all(update.handled_at is not None for update in await updates())


async def test_another_answer_in_between_keeps_its_place(house: House) -> None:
    await set_policy(waiting_limit=1)
    for text in ("a cat", "a dog", "/nonsense", "a bird"):
        house.telegram.say(ALICE, text)
    await decide(house)
    await speak(house)
    assert [message.text for message in house.telegram.bot_messages(ALICE)] == [
        "Queued, 1 of 1",
        TOO_MANY,
        texts.commands(),
        TOO_MANY,
    ]


async def test_two_people_of_a_group_are_answered_each(house: House) -> None:
    await set_policy(queue_limit=1)
    await house.say("a cat", BOB)
    for person in (ALICE, BOB, BOB):
        house.telegram.say(GROUP, "/video a dog", user_id=person)
    await decide(house)
    await speak(house)
    full = "The queue is full: 1 prompt waits already. Please try again in a few minutes."
    assert [message.text for message in house.telegram.bot_messages(GROUP)] == [full, texts.for_several(full, 2)]


async def test_what_was_decided_before_a_kill_is_said_after_the_restart(house: House) -> None:
    house.telegram.say(ALICE, "a cat")
    house.telegram.say(ALICE, "/start")
    await decide(house)
    house.restart()
    assert await sync_to_async(inbox.release_all)() == 0
    await speak(house)
    queued, greeting = house.telegram.bot_messages(ALICE)
    assert (queued.text, greeting.text[:6]) == ("Queued, 1 of 1", "Hello!")
    assert len(await jobs()) == 1


async def test_an_answer_that_was_on_its_way_at_a_kill_is_not_said_again(house: House) -> None:
    house.telegram.say(ALICE, "/start")
    await decide(house)
    run = await sync_to_async(outbox.next_run)(str(ALICE))
    assert run is not None
    assert await sync_to_async(run.begin)()
    house.restart()
    await sync_to_async(inbox.release_all)()
    await speak(house)
    assert house.telegram.bot_messages(ALICE) == []
    [update] = await updates()
    assert update.handled_at is not None


async def test_two_processes_say_nothing_twice(house: House) -> None:
    for number in range(12):
        house.telegram.say(5000 + number % 4, "/start" if number % 2 else "a cat")
    await decide(house)
    speakers = [Speaker(house.application.bot) for _ in range(2)]
    while await sync_to_async(ReceivedUpdate.objects.filter(handled_at=None).exists)():
        await asyncio.gather(*(speaker.tick() for speaker in speakers))
        for speaker in speakers:
            await speaker.finish(5)
    people = range(5000, 5004)
    told = [(person, message.reply_to) for person in people for message in house.telegram.bot_messages(person)]
    assert len(told) == len(set(told)) == len(house.telegram.calls("sendMessage"))
    assert len(await jobs()) == 6


async def test_a_run_that_another_process_has_begun_is_left_alone(house: House) -> None:
    await sync_to_async(inbox.store)([base(1, text="/start"), base(2, text="/start")])
    await house.consumer.tick()
    run = await sync_to_async(outbox.next_run)(str(ALICE))
    assert run is not None
    assert len(run.rows) == 2
    await sync_to_async(ReceivedUpdate.objects.filter(update_id=1).update)(answered_at=timezone.now())
    assert not await sync_to_async(run.begin)()
    assert (await updates())[1].answered_at is None


async def test_a_flood_of_one_person_takes_little_and_the_known_prompt_is_still_known(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_policy(waiting_limit=1)
    # Killed between the job and its answer, with more behind it.
    await sync_to_async(inbox.store)([base(number, text=f"cat {number}") for number in range(1, 31)])
    person, place = services.Person(ALICE), services.Place(ALICE)
    await sync_to_async(services.submit)(person, "cat 2", request_key="update:2", place=place)
    queries: list[str] = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    def watched(wishes: dict[int, Any], spoken: dict[int, str]) -> None:
        with connection.execute_wrapper(count):
            decisions.settle(wishes, spoken)

    with monkeypatch.context() as patch:
        patch.setattr(consumer, "settle", watched)
        await house.consumer.run_once()
    assert len(queries) < 20, "for thirty messages"
    [row] = await jobs()
    assert [update.update_id for update in await updates() if update.announces == row.pk] == [2]
    first, queued, rest = house.telegram.bot_messages(ALICE)
    assert (first.text, queued.text) == (TOO_MANY, "Queued, 1 of 1")
    assert rest.text == texts.for_several(TOO_MANY, 28)
    # In the next moment it counts again.
    await set_policy(waiting_limit=2)
    assert (await house.say("one more"))[-1].text == "Queued, 2 of 2"
