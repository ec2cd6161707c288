"""Telegram's flood limits hold, and one chat's wait is only its own."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from telegram.error import RetryAfter

from telegram_bot import limiter
from telegram_bot.limiter import OPTIONAL, FloodLimiter


class Clock:
    """Time that passes only in sleep."""

    Lock = asyncio.Lock

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limiter.time, "monotonic", clock.monotonic)
    monkeypatch.setattr(limiter, "asyncio", clock)
    return clock


class Telegram:
    """Notes when it was called."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.at: list[tuple[float, int | None]] = []
        self.refuse: set[int] = set()
        self.takes = 0.0

    async def call(self, limits: FloodLimiter, chat_id: int | None, optional: bool = False) -> bool:
        async def callback() -> bool:
            if chat_id in self.refuse:
                raise RetryAfter(timedelta(seconds=37))
            self.at.append((self.clock.now - 100, chat_id))
            self.clock.now += self.takes
            return True

        data = {} if chat_id is None else {"chat_id": chat_id}
        result = await limits.process_request(callback, (), {}, "sendMessage", data, OPTIONAL if optional else None)
        return bool(result)


async def test_a_private_chat_hears_one_message_a_second(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    for _ in range(4):
        await telegram.call(limits, 1)
    assert telegram.at == [(0, 1), (1, 1), (2, 1), (3, 1)]


async def test_a_group_hears_twenty_messages_a_minute(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    for _ in range(20):
        await telegram.call(limits, -1)
    assert clock.now < 101
    with pytest.raises(RetryAfter) as refused:
        await telegram.call(limits, -1)
    assert refused.value.retry_after == timedelta(seconds=160 - clock.now)
    clock.now += 60
    assert await telegram.call(limits, -1)


async def test_all_chats_together_hear_twenty_five_a_second(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    for chat in range(1, 61):
        await telegram.call(limits, chat)
    times = [round(at, 3) for at, _ in telegram.at]
    assert [sum(second <= at < second + 1 for at in times) for second in range(3)] == [25, 25, 10]
    assert all(sum(begin <= at < begin + 0.19 for at in times) <= 5 for begin in times), "spread out"


async def test_a_chats_second_is_counted_from_the_answer_to_the_last_call(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    telegram.takes = 0.7
    for _ in range(3):
        await telegram.call(limits, 1)
    assert [round(at, 3) for at, _ in telegram.at] == [0, 1.7, 3.4]


async def test_a_call_that_waited_for_the_others_does_not_come_right_before_the_next_of_its_chat(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    others = [telegram.call(limits, chat) for chat in range(10, 30)]
    await asyncio.gather(*others, telegram.call(limits, 1), telegram.call(limits, 1))
    first, second = [at for at, chat in telegram.at if chat == 1]
    assert first > 0.7
    assert second - first >= 1


async def test_an_optional_edit_does_not_join_a_crowd(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    crowd = asyncio.gather(*(telegram.call(limits, chat) for chat in range(10, 40)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(RetryAfter):
        await telegram.call(limits, 1, optional=True)
    await crowd
    assert await telegram.call(limits, 1, optional=True)


async def test_a_chat_told_to_wait_is_not_called_and_the_others_are(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    telegram.refuse = {1}
    with pytest.raises(RetryAfter):
        await telegram.call(limits, 1)
    telegram.refuse = set()
    assert limits.paused() == [1]
    clock.now += 30
    with pytest.raises(RetryAfter) as refused:
        await telegram.call(limits, 1)
    assert refused.value.retry_after == timedelta(seconds=7)
    assert await telegram.call(limits, 2)
    clock.now += 7.1
    assert limits.paused() == []
    assert await telegram.call(limits, 1)
    assert [chat for _, chat in telegram.at] == [2, 1]


async def test_an_optional_edit_never_waits_and_leaves_room_in_a_group(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    await telegram.call(limits, 1)
    with pytest.raises(RetryAfter):
        await telegram.call(limits, 1, optional=True)
    for _ in range(15):
        await telegram.call(limits, -1, optional=True)
    with pytest.raises(RetryAfter):
        await telegram.call(limits, -1, optional=True)
    for _ in range(5):
        await telegram.call(limits, -1)


async def test_calls_about_no_chat_are_not_counted(clock: Clock) -> None:
    telegram, limits = Telegram(clock), FloodLimiter()
    for _ in range(100):
        await telegram.call(limits, None)
    assert clock.now == 100


async def test_quiet_chats_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "MANY_CHATS", 10)
    telegram, limits = Telegram(clock), FloodLimiter()
    for chat in range(1, 40):
        await telegram.call(limits, chat)
        clock.now += 1
    assert len(limits._chats) <= 12
