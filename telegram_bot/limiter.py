"""Telegram's flood limits, kept in one place for everything that this process sends.

PTB's own AIORateLimiter knows no limit per private chat and halts every chat when one of them is told to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from telegram.error import RetryAfter
from telegram.ext import BaseRateLimiter

from .errors import sort

Json = dict[str, Any]
Result = bool | Json | list[Json]

# Telegram allows about 30 messages a second in all; edits count too. 25 a second, and spread out: calls that were held
# up on their way for a fifth of a second and then arrive together are still no more than 30.
ALL_CHATS = (5, 0.2)
PRIVATE_CHAT = (1, 1.0)
GROUP = (20, 60.0)
# Whoever would have to wait longer is told so at once: a waiting call holds a task, and a row or an update with it.
LONGEST_WAIT = 5.0
# What a progress edit leaves free for the messages that matter.
RESERVED_IN_GROUP = 5
# Forget chats that have been quiet once there are this many.
MANY_CHATS = 1000
# Calls that wait for their turn among all chats, at which one that may as well not happen does not.
CROWD = 8
# The argument `rate_limit_args` of calls that may as well not happen.
OPTIONAL = 1


class Window:
    """At most so many calls within so many seconds."""

    def __init__(self, calls: int, seconds: float) -> None:
        self.seconds = seconds
        self.booked: deque[float] = deque(maxlen=calls)

    def wait(self, now: float, *, reserve: int = 0) -> float:
        """Seconds until the next call may be made with `reserve` more to spare."""
        free = (self.booked.maxlen or 0) - len(self.booked)
        if free > reserve:
            return 0.0
        return max(0.0, self.booked[min(reserve - free, len(self.booked) - 1)] + self.seconds - now)

    def book(self, at: float) -> None:
        self.booked.append(at)

    def held_up(self, until: float) -> None:
        """The latest of them came later than it was booked."""
        self.booked[-1] = max(self.booked[-1], until)


class FloodLimiter(BaseRateLimiter[int]):
    """Spaces calls out; a chat that Telegram told to wait is not called until then, and holds up no other chat.

    Raises RetryAfter without a call where waiting here would take too long.
    """

    def __init__(
        self,
        *,
        all_chats: tuple[int, float] = ALL_CHATS,
        private_chat: tuple[int, float] = PRIVATE_CHAT,
        group: tuple[int, float] = GROUP,
    ) -> None:
        self._all = Window(*all_chats)
        self._private, self._group = private_chat, group
        # When each chat's calls are to be made, and when they really were.
        self._chats: dict[str, tuple[Window, Window]] = {}
        # Whoever asks first goes first.
        self._line = asyncio.Lock()
        self._in_line = 0
        self._paused_until: dict[str, float] = {}

    async def initialize(self) -> None:
        pass

    async def shutdown(self) -> None:
        pass

    def paused(self) -> list[int]:
        """Chats that must not be called now."""
        now = time.monotonic()
        self._paused_until = {chat: until for chat, until in self._paused_until.items() if until > now}
        return [int(chat) for chat in self._paused_until if chat.lstrip("-").isdigit()]

    async def process_request(
        self,
        callback: Callable[..., Coroutine[Any, Any, Result]],
        args: Any,
        kwargs: dict[str, Any],
        endpoint: str,
        data: dict[str, Any],
        rate_limit_args: int | None,
    ) -> Result:
        if data.get("chat_id") is None:
            return await callback(*args, **kwargs)
        chat = str(data["chat_id"])
        made = await self._turn(chat, optional=rate_limit_args == OPTIONAL)
        try:
            return await callback(*args, **kwargs)
        except RetryAfter as error:
            self._paused_until[chat] = time.monotonic() + sort(error).wait
            raise
        finally:
            # Not before its answer can it be known that the call has arrived, and a second is counted from there.
            made.held_up(time.monotonic())

    async def _turn(self, chat: str, *, optional: bool) -> Window:
        """Wait for it, and note the call. Returns the chat's window of calls made."""
        now = time.monotonic()
        planned, made = self._windows(chat, now)
        reserve = RESERVED_IN_GROUP if optional and chat.startswith("-") else 0
        wait = max(self._paused_until.get(chat, 0.0) - now, planned.wait(now, reserve=reserve), made.wait(now))
        if wait > (0 if optional else LONGEST_WAIT) or (optional and self._in_line >= CROWD):
            raise RetryAfter(timedelta(seconds=wait))
        planned.book(now + wait)
        while True:
            await asyncio.sleep(wait)
            self._in_line += 1
            try:
                async with self._line:
                    while wait := self._all.wait(time.monotonic()):
                        await asyncio.sleep(wait)
                    # The chat's last call may have been held up here for longer than it had planned.
                    now = time.monotonic()
                    wait = made.wait(now)
                    if not wait:
                        # Booked only now: a chat that had to wait must not take a turn of the others meanwhile.
                        self._all.book(now)
                        made.book(now)
                        return made
            finally:
                self._in_line -= 1

    def _windows(self, chat: str, now: float) -> tuple[Window, Window]:
        if len(self._chats) > MANY_CHATS:
            self._chats = {
                name: both for name, both in self._chats.items() if both[0].booked[-1] + both[0].seconds > now
            }
        if chat not in self._chats:
            limit = self._group if chat.startswith(("-", "@")) else self._private
            self._chats[chat] = Window(*limit), Window(*limit)
        return self._chats[chat]
