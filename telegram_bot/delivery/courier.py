"""Decides what to do next in which chat: results first, then status messages; one thing at a time per chat."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable

from asgiref.sync import sync_to_async
from telegram.ext import ExtBot

from ..limiter import FloodLimiter
from . import rows
from .handover import Handover
from .status import StatusBoard

logger = logging.getLogger(__name__)

# Results handed over at one time, each in another chat: an upload may take two minutes.
AT_ONCE = 8
# Between two looks for status messages to edit.
LOOK_SECONDS = 1.0


class Courier:
    def __init__(self, bot: ExtBot[int], owner: str) -> None:
        self.bot, self.owner = bot, owner
        self.board = StatusBoard(bot)
        # One thing at a time per chat: a progress edit must not come after the result.
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._looked_at = float("-inf")
        # Rung when a chat is free again.
        self.wake = asyncio.Event()

    # --- what to do next

    async def tick(self) -> None:
        """Begin every delivery and every status edit that is due."""
        await self.start_deliveries()
        # After every delivery would be too often: the whole queue is read for it.
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        for edit in await self.board.due(self._avoid()):
            self._start(edit.chat_id, self.board.show(edit))

    async def start_deliveries(self) -> int:
        """Begin what may be handed over now. Returns how many are under way."""
        while len(self._busy) < AT_ONCE:
            row = await sync_to_async(rows.claim)(self.owner, self._avoid())
            if row is None:
                break
            self._start(int(row.chat_id or 0), Handover(self.bot, self.owner, row).deliver())
        return len(self._busy)

    async def run_once(self) -> None:
        """Hand over everything that is due, and come back when it is done. No progress edits."""
        self.wake.set()
        # A chat that became free while the next result was looked for was not looked at.
        while self.wake.is_set():
            self.wake.clear()
            while await self.start_deliveries():
                await asyncio.wait(self._busy.values(), return_when=asyncio.FIRST_COMPLETED)

    async def finish(self, seconds: float) -> None:
        """Let what has begun end, for a while."""
        tasks = list(self._busy.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()

    def _avoid(self) -> set[int]:
        limiter = self.bot.rate_limiter
        paused = limiter.paused() if isinstance(limiter, FloodLimiter) else []
        return {*self._busy, *paused}

    def _start(self, chat_id: int, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                # Most likely the database. The delivery's lease runs out, and the sweep decides.
                logger.exception("Delivery in chat %s: %s", chat_id, type(error).__name__)

        def free(task: asyncio.Task[None]) -> None:
            self._busy.pop(chat_id, None)
            self.wake.set()

        self._busy[chat_id] = asyncio.create_task(guarded())
        self._busy[chat_id].add_done_callback(free)
