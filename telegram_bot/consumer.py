"""Hands stored updates to the handlers: a chat's in order, and a turn for everybody before anybody's second."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from asgiref.sync import sync_to_async
from telegram import Update
from telegram.ext import Application

from generations import limits

from . import inbox, outbox, texts
from .addressing import is_private, read_update
from .models import ReceivedUpdate
from .speaker import Speaker

logger = logging.getLogger(__name__)

App = Application[Any, Any, Any, Any, Any, Any]

# A handler that raises is tried this many times in all.
MAX_ATTEMPTS = 3
# Updates taken from the inbox together. They are handled one after the other: a handler waits for nothing but the
# database, and that does one thing at a time for one process.
AT_ONCE = 64
FAILURES = "failures"


async def report_failure(update: object, context: Any) -> None:
    """PTB's error handler: leaves the error for Consumer, which decides whether to try again."""
    if isinstance(update, Update):
        context.bot_data.setdefault(FAILURES, {})[update.update_id] = context.error
    else:
        logger.error("Outside any update: %s", type(context.error).__name__, exc_info=context.error)


class Consumer:
    """Decides, and has its speaker say what was decided: a flood must not wait with its prompts for its answers."""

    def __init__(self, application: App, owner: str) -> None:
        self.application, self.owner = application, owner
        self.speaker = Speaker(application.bot)
        # Rung when an update was stored.
        self.wake = asyncio.Event()

    async def tick(self) -> None:
        """Handle all updates that may be handled now."""
        while rows := await sync_to_async(inbox.claim)(self.owner, AT_ONCE):
            await self._handle_all(rows)
            self.speaker.wake.set()

    async def run_once(self) -> None:
        """Handle and answer everything that can be, and come back when it is done."""
        while True:
            await self.tick()
            if not await self.speaker.tick():
                return
            await self.speaker.first_done()

    async def _handle_all(self, rows: list[ReceivedUpdate]) -> None:
        """In their order. When one fails, the rest of its chat waits for it."""
        silent: list[ReceivedUpdate] = []
        held: list[ReceivedUpdate] = []
        failed: set[str] = set()
        with limits.one_moment():
            for row in rows:
                if row.chat in failed:
                    held.append(row)
                elif await self._handle(row):
                    silent.append(row)
                else:
                    failed.add(row.chat)
        # One statement for the whole batch; it leaves alone what was decided.
        await sync_to_async(inbox.finish)(silent, self.owner)
        if held:
            await sync_to_async(inbox.put_back)(held, self.owner)

    async def _handle(self, row: ReceivedUpdate) -> bool:
        """Let the handlers decide. False when the update must be handled again."""
        try:
            update = read_update(json.loads(row.payload), self.application.bot)
        except Exception as error:
            # A payload may break PTB's parser in any way; the next update must not wait for it.
            logger.warning("Update %s cannot be read: %s", row.update_id, type(error).__name__)
            await sync_to_async(inbox.finish)([row], self.owner, f"cannot be read: {error!r}")
            return True
        await self.application.process_update(update)
        failure = self.application.bot_data.setdefault(FAILURES, {}).pop(row.update_id, None)
        return failure is None or await self._give_up(row, update, failure)

    async def _give_up(self, row: ReceivedUpdate, update: Update, failure: Exception) -> bool:
        """After the last attempt an apology. False when there is another attempt."""
        reason = f"{type(failure).__name__}: {failure}"
        if row.attempts < MAX_ATTEMPTS:
            wait = float(2**row.attempts - 1)
            logger.warning("Update %s is tried again in %.0f s: %s", row.update_id, wait, reason)
            await sync_to_async(inbox.try_again)(row, self.owner, wait, reason)
            return False
        logger.error("Update %s is given up: %s", row.update_id, reason, exc_info=failure)
        message = update.effective_message
        if message is not None and is_private(message):
            # Better than silence.
            await sync_to_async(outbox.decide)(row.update_id, texts.trouble(), error=reason)
        else:
            await sync_to_async(inbox.finish)([row], self.owner, reason)
        return True
