"""Any other text is a prompt: it reaches the model as typed, and one status message answers it."""

from __future__ import annotations

import asyncio

import pytest

from generations.models import Delivery, Policy, Status
from tests.telegram_bot.conftest import ALICE, Finish, House, base, job, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


async def test_a_prompt_is_queued_and_answered_with_its_place(house: House) -> None:
    [status] = await house.say("a red circle moving right")
    assert status.text == "Queued, 1 of 1"
    assert status.reply_to == house.telegram.messages(ALICE)[0].id
    row = await job()
    assert (row.prompt, row.status, row.chat_id) == ("a red circle moving right", Status.QUEUED, ALICE)
    assert (row.status_message_id, row.status_text) == (status.id, "Queued, 1 of 1")
    assert row.prompt_message_id == status.reply_to
    # Nothing keeps a result waiting any more.
    assert (row.delivery, row.deliver_after) == (Delivery.NONE, None)


@pytest.mark.parametrize(
    "text",
    [
        "a_b",
        "*",
        "[x](",
        "<b>cat",
        "1 < 2 & 3",
        "`",
        "  two\n lines  ",
        "@simulator_bot dances",
        "a 🏳️‍🌈 flag",
        "100 % sure %s %(x)s",
        "not /start",
    ],
)
async def test_a_prompt_reaches_the_model_unchanged(house: House, text: str) -> None:
    [status] = await house.inject(base(text=text))
    assert status.text == "Queued, 1 of 1"
    assert (await job()).prompt == text


async def test_each_prompt_gets_its_own_place_in_the_queue(house: House) -> None:
    for number in range(1, 4):
        await house.say(f"circle {number}")
    assert [message.text for message in house.telegram.bot_messages(ALICE)] == [
        "Queued, 1 of 1",
        "Queued, 2 of 2",
        "Queued, 3 of 3",
    ]


async def test_a_prompt_under_review_is_told_to_wait(house: House) -> None:
    await set_policy(review=Policy.Review.BEFORE_GENERATION)
    [status] = await house.say("a red circle")
    assert status.text == "Waiting for an operator to approve it."
    assert (await job()).status == Status.PENDING_REVIEW


async def test_the_video_command_takes_the_text_behind_it(house: House) -> None:
    [status] = await house.say("/video a red circle")
    assert status.text == "Queued, 1 of 1"
    assert (await job()).prompt == "a red circle"


async def test_the_video_command_alone_asks_for_a_text(house: House) -> None:
    [answer] = await house.say("/video")
    assert answer.text == "Write what the video should show after /video."
    assert await jobs() == []


async def test_a_person_without_names_is_known_by_number(house: House) -> None:
    person = {"id": 2**62, "is_bot": False, "first_name": ""}
    await house.inject(base(1, text="a cat", **{"from": person}))
    await house.inject(base(2, text="a cat", **{"from": person | {"first_name": "\u202e evil"}}))
    rows = await jobs()
    assert [row.requester.user_id for row in rows] == [2**62, 2**62]
    assert rows[0].requester.display_name == "\u202e evil"


async def test_a_worker_that_is_faster_than_the_answer_does_not_confuse_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generations import tasks
    from generations.models import Generation

    def take(job_id: str) -> None:
        assert len(Generation.objects.claim_next("fast worker")) == 1

    monkeypatch.setattr(tasks, "_enqueue", take)
    [status] = await house.say("a red circle")
    assert status.text == "Queued, 1 of 1"
    assert (await job()).status == Status.RUNNING


async def test_when_the_answer_gets_lost_it_is_not_repeated_and_the_job_lives(house: House) -> None:
    house.telegram.drop_reply("sendMessage")
    [status] = await house.say("a red circle")
    assert status.text == "Queued, 1 of 1"
    await house.consumer.run_once()
    assert len(house.telegram.calls("sendMessage")) == 1
    row = await job()
    assert (row.status, row.status_message_id, row.deliver_after) == (Status.QUEUED, None, None)


async def test_a_flood_wait_of_the_chat_delays_the_answer_and_loses_nothing(house: House) -> None:
    house.telegram.fail("sendMessage", retry_after=37, chat_id=ALICE)
    assert await house.say("a red circle") == []
    row = await job()
    assert row.status == Status.QUEUED
    # The result waits for the announcement, but not for ever.
    assert row.deliver_after is not None
    # Bob is answered at once.
    [status] = await house.say("a blue square", 1002)
    assert status.text == "Queued, 2 of 2"
    assert len(house.telegram.calls("sendMessage", ALICE)) == 1


async def test_a_result_that_is_ready_before_the_delayed_answer_does_not_wait_any_longer(
    house: House, render: Finish
) -> None:
    house.telegram.fail("sendMessage", retry_after=1, chat_id=ALICE)
    assert await house.say("a red circle") == []
    await render()
    await house.deliver()
    assert house.telegram.bot_messages(ALICE) == [], "it waits for its announcement"
    await asyncio.sleep(1.1)
    await house.consumer.run_once()
    await house.deliver()
    [message] = house.telegram.bot_messages(ALICE)
    assert message.video


async def test_a_person_who_blocked_the_bot_stops_nobody(house: House) -> None:
    house.telegram.fail("sendMessage", status=403)
    assert await house.say("a red circle") == []
    [status] = await house.say("another")
    assert status.text == "Queued, 1 of 1", "the first was dropped: nobody would see it"
