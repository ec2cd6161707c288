"""A reaction to a prompt that was accepted, where the operators want that. Never in the way of an answer."""

from __future__ import annotations

import asyncio
import logging

from asgiref.sync import sync_to_async
from telegram.error import TelegramError
from telegram.ext import ExtBot

from generations import services

from .errors import Next, sort
from .limiter import OPTIONAL

logger = logging.getLogger(__name__)

SEEN = "👀"
# The answer itself has just taken the chat's turn of this second.
PAUSE = 1.5
# Chats where it is not allowed; with more of them, all are tried anew.
MOST = 10_000


class Reactions:
    def __init__(self, bot: ExtBot[int]) -> None:
        self.bot = bot
        self._not_allowed: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def accepted(self, chat_id: int, message_id: int) -> None:
        """In a while, if there is room for it then."""
        if chat_id in self._not_allowed:
            return
        task = asyncio.create_task(self._react(chat_id, message_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def shown(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _react(self, chat_id: int, message_id: int) -> None:
        if not await sync_to_async(services.reactions_wanted)():
            return
        await asyncio.sleep(PAUSE)
        try:
            await self.bot.set_message_reaction(chat_id, message_id, SEEN, rate_limit_args=OPTIONAL)
        except TelegramError as error:
            verdict = sort(error)
            if verdict.next in {Next.REFUSED, Next.GIVE_UP} and "message to react not found" not in verdict.reason:
                logger.info("No reactions in chat %s: %s", chat_id, verdict.reason)
                if len(self._not_allowed) >= MOST:
                    self._not_allowed.clear()
                self._not_allowed.add(chat_id)
