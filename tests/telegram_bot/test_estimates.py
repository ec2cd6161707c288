"""The status message says about how long it takes, where that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from redis import Redis

from generations import estimates
from generations.worker import GenerationWorker
from telegram_bot import texts
from telegram_bot.delivery import status
from tests.telegram_bot.conftest import ALICE, BOB, WORKER, Finish, House, jobs
from tests.valkey import own_valkey

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

start: Callable[..., object] = sync_to_async(lambda row: row.start(WORKER))
progress: Callable[..., object] = sync_to_async(lambda row, percent: row.report_progress(WORKER, percent))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """How often a chat is edited has its own tests."""
    monkeypatch.setattr(status, "WHILE_QUEUED", 0.0)
    monkeypatch.setattr(status, "WHILE_RENDERING", 0.0)


@pytest.fixture
def worker(settings: LazySettings) -> Iterator[None]:
    """One worker is alive, as far as the queue server knows."""
    estimates._workers.cache_clear()
    with own_valkey() as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.port}/0"
        with Redis.from_url(settings.REDIS_URL) as redis:
            GenerationWorker(["gpu"], name="one", connection=redis).register_birth()
            yield
    estimates._workers.cache_clear()


def texts_of(house: House, chat_id: int = ALICE) -> list[str]:
    return house.telegram.bot_messages(chat_id)[-1].texts


async def test_a_prompt_like_an_earlier_one_says_when_its_video_will_be_there(
    house: House, worker: None, at_once: None, render: Finish
) -> None:
    await house.say("a red circle")
    assert texts_of(house) == ["Queued, 1 of 1"], "no video was made yet, so nothing is known"
    await render(seconds=110.0)
    await house.say("a green square", BOB)
    await house.say("a blue square")
    assert texts_of(house) == ["Queued, 2 of 2, about 4 min"]
    bobs, mine = (await jobs())[1:]
    await start(bobs)
    await progress(bobs, 50)
    await house.show_status()
    await sync_to_async(bobs.stopped)(WORKER)
    await start(mine)
    for percent in (10, 50):
        await progress(mine, percent)
        await house.show_status()
    assert texts_of(house) == [
        "Queued, 2 of 2, about 4 min",
        "Queued, 1 of 1, about 3 min",
        "Rendering 10 %, about 2 min left",
        "Rendering 50 %, less than a minute left",
    ]


async def test_a_wait_that_is_about_as_long_as_before_is_no_edit(
    house: House, worker: None, at_once: None, render: Finish
) -> None:
    await house.say("a red circle")
    await render(seconds=200.0)
    await house.say("a green square", BOB)
    await house.say("a blue square")
    row = (await jobs())[1]
    await start(row)
    for percent in (1, 2, 3, 4, 5, 6, 7):
        await progress(row, percent)
        await house.show_status()
    assert texts_of(house) == ["Queued, 2 of 2, about 7 min", "Queued, 1 of 1, about 7 min"]


async def test_without_a_worker_there_is_no_estimate(house: House, at_once: None, render: Finish) -> None:
    await house.say("a red circle")
    await render(seconds=110.0)
    [_, message] = await house.say("a blue square")
    assert message.text == "Queued, 1 of 1"


async def test_a_worker_that_was_faster_than_the_answer_still_says_how_long(
    house: House, worker: None, render: Finish
) -> None:
    await house.say("a red circle")
    await render(seconds=110.0)
    house.telegram.say(ALICE, "a blue square")
    await house.fetch()
    await house.consumer.tick()
    await start((await jobs())[1])
    await house.consumer.run_once()
    assert texts_of(house) == ["Queued, 1 of 1, about 2 min"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (59.9, "less than a minute"),
        (60, "about 1 min"),
        (61, "about 2 min"),
        (599, "about 10 min"),
        (601, "about 15 min"),
        (3500, "about 1 h"),
        (3601, "about 1 h 30 min"),
        (90 * 3600, "about 90 h"),
    ],
)
def test_an_estimate_is_rounded_to_what_people_plan_with(seconds: float, words: str) -> None:
    assert texts.estimate(seconds) == words
