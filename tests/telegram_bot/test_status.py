"""The status message tells how far a job is, by edits that are few and that never fail anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.utils import timezone
from redis import Redis

from generations import attendance, operating
from generations.models import Generation, Policy, Status
from generations.worker import GenerationWorker
from telegram_bot.delivery import status
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, WORKER, Finish, House, change, job, jobs, set_policy
from tests.valkey import own_valkey

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(status, "time", clock)
    return clock


def texts_of(house: House, chat_id: int = ALICE) -> list[str]:
    [message] = house.telegram.bot_messages(chat_id)
    return message.texts


start: Callable[..., object] = sync_to_async(lambda row: row.start(WORKER))
progress: Callable[..., object] = sync_to_async(lambda row, percent: row.report_progress(WORKER, percent))


async def test_one_message_follows_the_job_from_queue_to_rendering(house: House, clock: Clock) -> None:
    await house.say("a red circle")
    row = await job()
    await start(row)
    for percent in (0, 20, 40):
        await progress(row, percent)
        await house.show_status()
        clock.now += 3
    assert texts_of(house) == ["Queued, 1 of 1", "Rendering 0 %", "Rendering 20 %", "Rendering 40 %"]
    assert (await job()).status_text == "Rendering 40 %"


async def test_a_prompt_that_no_worker_takes_says_so_until_one_is_there(
    house: House, clock: Clock, settings: LazySettings
) -> None:
    with own_valkey() as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.port}/0"
        await house.say("a red circle")
        await house.show_status()
        await change(await job(), queued_at=timezone.now() - 2 * attendance.UNTAKEN)
        clock.now += status.LONGEST_PAUSE
        await house.show_status()
        with Redis.from_url(settings.REDIS_URL) as redis:
            GenerationWorker(["gpu"], name="one", connection=redis).register_birth()
            clock.now += status.LONGEST_PAUSE
            await house.show_status()
    # Whether anybody is there is not known now, and then nothing is said about it.
    clock.now += status.LONGEST_PAUSE
    await house.show_status()
    assert texts_of(house) == [
        "Queued, 1 of 1",
        "Queued, 1 of 1. The video model is not available right now. Your prompt is kept until it is.",
        "Queued, 1 of 1",
    ]


async def test_progress_is_shown_at_most_every_three_seconds(house: House, clock: Clock) -> None:
    await house.say("a red circle")
    row = await job()
    await start(row)
    for percent in range(0, 20, 2):
        await progress(row, percent)
        await house.show_status()
        clock.now += 1
    assert len(house.telegram.calls("editMessageText")) == 4


async def test_the_place_in_the_queue_is_shown_at_most_every_ten_seconds(
    house: House, clock: Clock, render: Finish
) -> None:
    for text in ("one", "two", "three"):
        await house.say(text, BOB)
    await house.say("mine")
    seen = []
    for _ in range(3):
        await house.show_status()
        seen.append(texts_of(house)[-1])
        await render()
        clock.now += 5
    # Alice was never served, so her turn comes after Bob's first.
    assert seen == ["Queued, 2 of 4", "Queued, 1 of 3", "Queued, 1 of 3"]


async def test_an_unchanged_text_is_not_sent_again(house: House, clock: Clock) -> None:
    await house.say("a red circle")
    for _ in range(3):
        await house.show_status()
        clock.now += 60
    assert house.telegram.calls("editMessageText") == []


async def test_an_approved_prompt_is_told_so(house: House, clock: Clock, admin_user: object) -> None:
    await set_policy(review=Policy.Review.BEFORE_GENERATION)
    await house.say("a red circle")
    await sync_to_async(operating.approve)(await job(), by=admin_user)
    await house.show_status()
    assert texts_of(house) == ["Waiting for an operator to approve it.", "Queued, 1 of 1"]


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 400, "description": "Bad Request: message is not modified: specified new message content"},
        {"status": 400, "description": "Bad Request: something unheard of"},
        {"status": 400, "description": "Bad Request: there is no text in the message to edit"},
        {"status": 403},
        {"status": 500},
        {"retry_after": 30},
    ],
    ids=lambda answer: str(answer.get("description", answer)),
)
async def test_an_edit_that_fails_does_not_fail_the_job(
    house: House, clock: Clock, render: Finish, answer: dict[str, object]
) -> None:
    await house.say("a red circle")
    row = await job()
    await start(row)
    house.telegram.fail("editMessageText", **answer)
    await house.show_status()
    row = await job()
    assert (row.status, row.status_message_id) == (Status.RUNNING, house.telegram.bot_messages(ALICE)[0].id)


async def test_a_deleted_status_message_is_forgotten_and_the_video_comes_by_itself(
    house: House, clock: Clock, render: Finish
) -> None:
    [message] = await house.say("a red circle")
    house.telegram.delete(ALICE, message.id)
    await change(await job(), status_text="")
    await house.show_status()
    assert (await job()).status_message_id is None
    await render()
    await house.deliver()
    assert [message.kind for message in house.telegram.bot_messages(ALICE)] == ["video"]


async def test_a_result_is_never_followed_by_old_progress(house: House, clock: Clock, render: Finish) -> None:
    await house.say("a red circle")
    row = await job()
    await start(row)
    await progress(row, 90)
    [edit] = await house.courier.board.due(set())
    await sync_to_async(row.fail)(WORKER, public_reason="Out of memory.", traceback="")
    await house.deliver()
    await house.courier.board.show(edit)
    assert texts_of(house) == ["Queued, 1 of 1", "Out of memory."]


async def test_one_edit_per_chat_at_a_time_and_few_in_all(house: House, clock: Clock) -> None:
    for person in range(3001, 3011):
        await house.say("one", person)
        await house.say("two", person)
    await sync_to_async(Generation.objects.update)(status_text="")
    edits = await house.courier.board.due({3001})
    assert len(edits) == status.EDITS_PER_TICK
    assert len({edit.chat_id for edit in edits}) == status.EDITS_PER_TICK
    assert 3001 not in {edit.chat_id for edit in edits}


async def test_a_group_is_edited_less_often(house: House, clock: Clock) -> None:
    await house.say("/video a cat", GROUP, user_id=ALICE)
    [row] = await jobs()
    await start(row)
    for percent in range(0, 20, 2):
        await progress(row, percent)
        await house.show_status()
        clock.now += 2
    assert len(house.telegram.calls("editMessageText")) == 2
