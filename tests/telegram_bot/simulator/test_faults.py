"""Misbehaviour on demand, seen from PTB."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import httpx
import pytest
from telegram import Bot
from telegram.error import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from telegram_bot.simulator import Fault, Simulator

from .conftest import CHAT, make_bot


async def test_429_names_the_wait_and_sends_nothing(bot: Bot, sim: Simulator) -> None:
    sim.fail("sendMessage", retry_after=37, times=2)
    for _ in range(2):
        with pytest.raises(RetryAfter) as refused:
            await bot.send_message(CHAT, "x")
        assert int(refused.value._retry_after.total_seconds()) == 37
    assert await bot.send_message(CHAT, "at last")
    assert [message.text for message in sim.messages(CHAT)] == ["at last"]
    assert [call.status for call in sim.calls("sendMessage")] == [429, 429, 200]


@pytest.mark.parametrize(
    ("status", "description", "error"),
    [
        (400, "Bad Request: never heard of it", BadRequest),
        (401, "", InvalidToken),
        (403, "", Forbidden),
        (409, "", Conflict),
        (413, "", NetworkError),
        (500, "", NetworkError),
    ],
)
async def test_refusal_of_any_kind(
    bot: Bot, sim: Simulator, status: int, description: str, error: type[TelegramError]
) -> None:
    sim.fail("sendMessage", status=status, description=description)
    with pytest.raises(error):
        await bot.send_message(CHAT, "x")
    assert sim.messages(CHAT) == []
    assert await bot.send_message(CHAT, "x")


async def test_fault_of_one_chat_spares_the_others(bot: Bot, sim: Simulator) -> None:
    sim.add_chat(1002)
    sim.fail("sendMessage", retry_after=60, chat_id=CHAT, times=-1)
    assert await bot.send_message(1002, "fine")
    for _ in range(3):
        with pytest.raises(RetryAfter):
            await bot.send_message(CHAT, "x")
    sim.clear_faults()
    assert await bot.send_message(CHAT, "fine")


async def test_fault_for_everything_waits_for_a_call_that_is_no_poll(bot: Bot, sim: Simulator) -> None:
    sim.fail(status=500)
    assert await bot.get_updates() == ()
    with pytest.raises(NetworkError):
        await bot.get_me()
    sim.fail("getUpdates", status=409)
    with pytest.raises(Conflict):
        await bot.get_updates()


async def test_dropped_reply_leaves_the_message_in_the_chat(bot: Bot, sim: Simulator, clip: bytes) -> None:
    sim.drop_reply("sendVideo")
    with pytest.raises(NetworkError):
        await bot.send_video(CHAT, clip)
    assert [message.kind for message in sim.messages(CHAT)] == ["video"]
    (call,) = sim.calls("sendVideo")
    assert (call.reply, call.status) == ("dropped", 200)


async def test_reply_cut_in_the_middle_leaves_the_message_in_the_chat(bot: Bot, sim: Simulator) -> None:
    sim.cut_reply("sendMessage")
    with pytest.raises(NetworkError):
        await bot.send_message(CHAT, "there")
    assert [message.text for message in sim.messages(CHAT)] == ["there"]
    assert sim.calls("sendMessage")[0].reply == "cut"


async def test_connection_lost_before_the_call_leaves_nothing(bot: Bot, sim: Simulator) -> None:
    sim.drop_reply("sendMessage", processed=False)
    with pytest.raises(NetworkError):
        await bot.send_message(CHAT, "lost")
    assert sim.messages(CHAT) == []
    assert sim.calls("sendMessage")[0].response is None


async def test_hanging_answer_times_out_though_the_message_is_there(bot: Bot, sim: Simulator) -> None:
    sim.hang("sendMessage", seconds=30)
    with pytest.raises(TimedOut):
        await bot.send_message(CHAT, "there", read_timeout=0.3)
    await sim.until(lambda: sim.messages(CHAT))
    assert [message.text for message in sim.messages(CHAT)] == ["there"]


async def test_late_answer_still_comes(bot: Bot, sim: Simulator) -> None:
    sim.hang("sendMessage", seconds=0.3)
    started = time.monotonic()
    assert await bot.send_message(CHAT, "late")
    assert time.monotonic() - started >= 0.3


async def test_closed_port_refuses_and_opens_again(sim: Simulator) -> None:
    async with make_bot(sim) as bot:
        sim.refuse_connections(1)
        with pytest.raises(NetworkError) as refused:
            await bot.send_message(CHAT, "x")
        assert isinstance(refused.value.__cause__, httpx.ConnectError)
        for _ in range(50):
            with suppress(NetworkError):
                await bot.send_message(CHAT, "back")
                break
            await asyncio.sleep(0.1)
    assert [message.text for message in sim.messages(CHAT)] == ["back"]


def test_unknown_kind_of_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="action must be one of"):
        Fault(action="explode")


def test_stopping_does_not_wait_for_polls() -> None:
    with Simulator() as own:
        client = httpx.Client(trust_env=False)
        with client.stream("GET", f"{own.url}/control/events"):
            started = time.monotonic()
            own.stop()
            assert time.monotonic() - started < 5
        client.close()
