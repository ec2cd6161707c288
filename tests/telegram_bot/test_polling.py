"""Fetching goes on through conflicts, outages and a database that is away, and says so once a minute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from django.db import OperationalError

from telegram_bot import inbox, polling
from tests.telegram_bot.conftest import ALICE, House, updates

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "CONFLICT_PAUSE", 0.01)
    monkeypatch.setattr(polling, "LONGEST_PAUSE", 0.02)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="telegram_bot.polling"):
        yield caplog


@asynccontextmanager
async def polling_for(house: House) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(polling.poll(house.application.bot))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: object) -> None:
    for _ in range(500):
        if await condition() if asyncio.iscoroutinefunction(condition) else condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.02)
    raise AssertionError("did not happen within 10 s")


async def stored() -> bool:
    return len(await updates()) == 1


async def test_updates_are_stored_and_then_confirmed(house: House) -> None:
    house.telegram.say(ALICE, "a cat")
    async with polling_for(house):
        await until(lambda: house.telegram.pending_updates() == 0)
    assert await stored()
    calls = house.telegram.calls("getUpdates")
    assert "offset" not in calls[0].params
    assert int(calls[1].params["offset"]) == (await updates())[0].update_id + 1
    assert calls[0].params["allowed_updates"] == ["message", "edited_message", "callback_query", "my_chat_member"]


async def test_another_poller_is_reported_once_and_sat_out(house: House, log: pytest.LogCaptureFixture) -> None:
    house.telegram.fail("getUpdates", status=409, times=20)
    house.telegram.say(ALICE, "a cat")
    async with polling_for(house):
        await until(stored)
        # Everything else went on meanwhile.
        await house.application.bot.get_me()
    messages = [record.getMessage() for record in log.records]
    assert len(messages) == 2
    assert messages[0].startswith("Another process fetches this bot's updates, or a webhook is set: Conflict")
    assert messages[1] == "Fetching updates works again."


async def test_an_outage_is_sat_out(house: House, log: pytest.LogCaptureFixture) -> None:
    house.telegram.refuse_connections(0.5)
    house.telegram.say(ALICE, "a cat")
    async with polling_for(house):
        await until(stored)
    complaints = [record.getMessage() for record in log.records if record.levelname == "ERROR"]
    assert len(complaints) == 1
    assert complaints[0].startswith("Telegram cannot be reached: httpx.")


@pytest.mark.parametrize("status", [500, 502, 403, 400])
async def test_any_refusal_is_sat_out(house: House, status: int) -> None:
    house.telegram.fail("getUpdates", status=status, times=3)
    house.telegram.say(ALICE, "a cat")
    async with polling_for(house):
        await until(stored)


async def test_a_reply_cut_in_the_middle_loses_nothing(house: House) -> None:
    house.telegram.cut_reply("getUpdates")
    house.telegram.say(ALICE, "a cat")
    async with polling_for(house):
        await until(stored)


async def test_with_the_database_away_nothing_is_confirmed(
    house: House, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    store, calls = inbox.store, []

    def away(batch: list[dict[str, object]]) -> int:
        calls.append(len(batch))
        if len(calls) < 4:
            raise OperationalError("the database is away")
        return store(batch)

    monkeypatch.setattr(inbox, "store", away)
    house.telegram.say(ALICE, "a cat")
    async with polling_for(house):
        await until(stored)
    assert calls[:4] == [1, 1, 1, 1]
    [complaint] = [record.getMessage() for record in log.records if record.levelname == "ERROR"]
    assert complaint == "Updates cannot be stored: OperationalError: the database is away"


async def test_a_refused_token_ends_it(house: House) -> None:
    house.telegram.fail("getUpdates", status=401)
    async with polling_for(house) as task:
        with pytest.raises(polling.TokenRefused):
            await asyncio.wait_for(task, 5)


async def test_an_answer_that_makes_no_sense_is_no_updates(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nonsense(*args: object, **options: object) -> bool:
        return True

    monkeypatch.setattr(type(house.application.bot), "do_api_request", nonsense)
    assert await polling.fetch(house.application.bot, None) == []
