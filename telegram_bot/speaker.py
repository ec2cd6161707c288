"""Sends what was decided: one answer at a time per chat, in order, and whoever has waited longest first.

Each is sent once, and not again when nobody knows whether it arrived.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.utils import timezone
from telegram import Message
from telegram.constants import MessageLimit
from telegram.error import TelegramError
from telegram.ext import ExtBot

from . import outbox, texts
from .addressing import place_of, read_update
from .captions import shorten
from .delivery import rows
from .errors import Next, sort
from .outbox import Run
from .sending import Target, chat_lost, send

logger = logging.getLogger(__name__)

# Answers on their way at one time, each in another chat. Most of them wait for their turn to be sent.
AT_ONCE = 16
# Chats that are next, asked for together.
LINE = 50
# Between attempts while Telegram cannot be reached.
RETRY_SECONDS = 5.0
# Before a chat is tried again whose answer could not be looked up.
PAUSE_AFTER_ERROR = 1.0
# An answer that Telegram provably did not take is tried again for this long.
PATIENCE = timedelta(hours=1)


class Speaker:
    def __init__(self, bot: ExtBot[int]) -> None:
        self.bot = bot
        # Rung when something was decided, or an answer is done.
        self.wake = asyncio.Event()
        self._line: deque[str] = deque()
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def tick(self) -> int:
        """Begin all answers that may begin. Returns how many are under way."""
        asked = False
        while len(self._busy) < AT_ONCE:
            if not self._line:
                if asked:
                    break
                asked = True
                self._line.extend(await sync_to_async(outbox.due)(LINE))
                continue
            chat = self._line.popleft()
            if chat not in self._busy:
                self._busy[chat] = asyncio.create_task(self._speak(chat), name=chat)
                self._busy[chat].add_done_callback(self._done)
        return len(self._busy)

    async def finish(self, seconds: float) -> None:
        """Let what has begun end, for a while."""
        tasks = list(self._busy.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()

    async def first_done(self) -> None:
        await asyncio.wait(self._busy.values(), return_when=asyncio.FIRST_COMPLETED)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._busy[task.get_name()]
        self.wake.set()

    async def _speak(self, chat: str) -> None:
        try:
            run = await sync_to_async(outbox.next_run)(chat)
            if run is not None:
                await self._say(run)
        except Exception as error:
            # Most likely the database. What was not begun is said later; what was begun may have arrived.
            logger.exception("Answer in chat %s: %s", chat, type(error).__name__)
            await asyncio.sleep(PAUSE_AFTER_ERROR)

    async def _say(self, run: Run) -> None:
        row = run.last
        text = texts.for_several(row.answer, len(run.rows))
        if row.announces is not None:
            text = await sync_to_async(rows.before_announcing)(row.announces)
            if not text:
                await sync_to_async(run.said)()
                return
        message = read_update(json.loads(row.payload), self.bot).effective_message
        assert message is not None, "only a message is answered"
        if not await sync_to_async(run.begin)():
            return
        place = place_of(message)
        short = shorten(text, MessageLimit.MAX_TEXT_LENGTH)

        async def call(target: Target) -> Message:
            return await self.bot.send_message(text=short, **target.arguments())

        sent, problem, began = None, "", timezone.now()
        try:
            sent = await send(Target(place.chat_id, place.thread_id, place.prompt_message_id), call)
        except TelegramError as error:
            verdict = sort(error)
            problem = f"{verdict.next.name}: {verdict.reason}"
            if verdict.next in {Next.WAIT, Next.NOT_SENT, Next.STOP} and timezone.now() - row.received_at < PATIENCE:
                await sync_to_async(run.later)(verdict.wait or RETRY_SECONDS, problem)
                return
            # Blocked, or refused, or perhaps sent, or tried for long: each is the end of it.
            logger.warning("Chat %s was not answered: %s", place.chat_id, verdict.reason)
            if verdict.next is Next.UNREACHABLE:
                await chat_lost(place.chat_id, verdict, since=began)
        if row.announces is not None:
            await sync_to_async(rows.announced)(row.announces, sent.message_id if sent else None, text)
        await sync_to_async(run.said)(problem)
