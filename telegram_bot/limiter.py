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

# Telegram allows about 30 messages a second in all; edits count too, and the difference is our margin.
ALL_CHATS = (25, 1.0)
PRIVATE_CHAT = (1, 1.0)
GROUP = (20, 60.0)
# Whoever would have to wait longer is told so at once: a waiting call holds a task, and a row or an update with it.
LONGEST_WAIT = 5.0
# What a progress edit leaves free for the messages that matter.
RESERVED_IN_GROUP = 5
# Forget chats that have been quiet once there are this many.
MANY_CHATS = 1000
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
        self._chats: dict[str, Window] = {}
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
        await self._turn(chat, optional=rate_limit_args == OPTIONAL)
        try:
            return await callback(*args, **kwargs)
        except RetryAfter as error:
            self._paused_until[chat] = time.monotonic() + sort(error).wait
            raise

    async def _turn(self, chat: str, *, optional: bool) -> None:
        now = time.monotonic()
        window = self._window(chat, now)
        reserve = RESERVED_IN_GROUP if optional and chat.startswith("-") else 0
        wait = max(self._paused_until.get(chat, 0.0) - now, window.wait(now, reserve=reserve))
        if wait > (0 if optional else LONGEST_WAIT):
            raise RetryAfter(timedelta(seconds=wait))
        window.book(now + wait)
        await asyncio.sleep(wait)
        # Booked only now: a chat that had to wait must not take a turn of the others meanwhile.
        while wait := self._all.wait(time.monotonic()):
            await asyncio.sleep(wait)
        self._all.book(time.monotonic())

    def _window(self, chat: str, now: float) -> Window:
        if len(self._chats) > MANY_CHATS:
            self._chats = {name: used for name, used in self._chats.items() if used.booked[-1] + used.seconds > now}
        if chat not in self._chats:
            self._chats[chat] = Window(*(self._group if chat.startswith(("-", "@")) else self._private))
        return self._chats[chat]
