"""Hands stored updates to the handlers: one chat's in order, many chats at once."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone
from telegram import Bot, Update
from telegram.ext import Application

from . import answers, inbox
from .models import ReceivedUpdate

logger = logging.getLogger(__name__)

App = Application[Any, Any, Any, Any, Any, Any]

# A handler that raises is tried this many times in all.
MAX_ATTEMPTS = 3
# An answer that Telegram provably did not take is tried again for this long.
PATIENCE = timedelta(hours=1)
# Handlers at one time, each of another chat. Most of them wait for their turn to send.
AT_ONCE = 64
FAILURES = "failures"
# What is needed of a message to answer it.
ESSENTIAL = ("message_id", "date", "chat", "from", "text", "caption")


async def report_failure(update: object, context: Any) -> None:
    """PTB's error handler: leaves the error for Consumer, which decides whether to try again."""
    if isinstance(update, Update):
        context.bot_data.setdefault(FAILURES, {})[update.update_id] = context.error
    else:
        logger.error("Outside any update: %s", type(context.error).__name__, exc_info=context.error)


def parse(payload: dict[str, Any], bot: Bot) -> Update:
    """PTB's objects. A message with a part that PTB cannot read is read without it: it still wants an answer."""
    try:
        update = Update.de_json(payload, bot)
    except Exception:
        message = payload["message"]
        plain = {name: message[name] for name in ESSENTIAL if name in message}
        update = Update.de_json({"update_id": payload["update_id"], "message": plain}, bot)
    if update.message is not None and update.message.chat is None:
        raise ValueError("a message without a chat")
    return update


class Consumer:
    def __init__(self, application: App, owner: str) -> None:
        self.application, self.owner = application, owner
        # Rung when an update was stored or a handler is done.
        self.wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def tick(self) -> None:
        """Begin all updates that may begin."""
        while len(self._tasks) < AT_ONCE:
            row = await sync_to_async(inbox.claim)(self.owner)
            if row is None:
                return
            task = asyncio.create_task(self._handle(row))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def run_once(self) -> None:
        """Handle everything that can be handled now, and come back when it is done."""
        while True:
            await self.tick()
            if not self._tasks:
                return
            await asyncio.wait(self._tasks)

    async def finish(self, seconds: float) -> None:
        """Let what has begun end, for a while."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wake.set()

    async def _handle(self, row: ReceivedUpdate) -> None:
        try:
            await self._answer(row)
        except Exception as error:
            # Most likely the database. The lease runs out, and the update is handled again.
            logger.exception("Update %s: %s", row.update_id, type(error).__name__)

    async def _answer(self, row: ReceivedUpdate) -> None:
        """Parse a claimed update, let the handlers answer it, and write down how that went."""
        try:
            update = parse(json.loads(row.payload), self.application.bot)
        except Exception as error:
            # A payload may break PTB's parser in any way; the next update must not wait for it.
            logger.warning("Update %s cannot be read: %s", row.update_id, type(error).__name__)
            await sync_to_async(inbox.finish)(row, self.owner, f"cannot be read: {error!r}")
            return
        await self.application.process_update(update)
        failure = self.application.bot_data.setdefault(FAILURES, {}).pop(row.update_id, None)
        if failure is None:
            await sync_to_async(inbox.finish)(row, self.owner)
        else:
            await self._failed(row, update, failure)

    async def _failed(self, row: ReceivedUpdate, update: Update, failure: Exception) -> None:
        reason = f"{type(failure).__name__}: {failure}"
        if isinstance(failure, answers.NotSent):
            again = timezone.now() - row.received_at < PATIENCE
            wait = failure.wait
        else:
            again = row.attempts < MAX_ATTEMPTS
            wait = float(2**row.attempts - 1)
        if again:
            logger.warning("Update %s is tried again in %.0f s: %s", row.update_id, wait, reason)
            await sync_to_async(inbox.try_again)(row, self.owner, wait, reason)
            return
        logger.error("Update %s is given up: %s", row.update_id, reason, exc_info=failure)
        await answers.apologise(update)
        await sync_to_async(inbox.finish)(row, self.owner, reason)
