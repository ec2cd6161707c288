"""Hands stored updates to the handlers: a chat's in order, and a turn for everybody before anybody's second."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone
from telegram import Update
from telegram.ext import Application

from . import inbox, inline, languages, outbox, texts
from .addressing import is_private, read_update
from .buttons import Pressed
from .decisions import Decisions, Wish, settle
from .models import ReceivedUpdate
from .speaker import Speaker

logger = logging.getLogger(__name__)

App = Application[Any, Any, Any, Any, Any, Any]

# A handler that raises is tried this many times in all.
MAX_ATTEMPTS = 3
# Updates taken from the inbox and decided together: most of what a decision costs is asked once for all of them.
AT_ONCE = 100
FAILURES = "failures"
# Whoever typed an inline query has typed on by then, and Telegram takes no answer to it.
QUERY_LASTS = timedelta(seconds=15)


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
        self._claimed: list[ReceivedUpdate] = []
        # By the number of the update, the language of its answer.
        self._spoken: dict[int, str] = {}
        self.decisions = Decisions.of(application.bot_data)
        self.speaker = Speaker(application.bot)
        # Rung when an update was stored.
        self.wake = asyncio.Event()

    async def tick(self) -> None:
        """Handle all updates that may be handled now."""
        if self._claimed:
            # The database failed in the middle of them.
            await sync_to_async(inbox.put_back)(self._claimed, self.owner)
        while True:
            self._claimed = await sync_to_async(inbox.claim)(self.owner, AT_ONCE)
            if not self._claimed:
                return
            await self._handle_all(self._claimed)
            self.speaker.wake.set()

    async def run_once(self) -> None:
        """Handle and answer everything that can be, and come back when it is done."""
        while True:
            await self.tick()
            await self.speaker.toasts_shown()
            if not await self.speaker.tick():
                return
            await self.speaker.first_done()

    async def _handle_all(self, rows: list[ReceivedUpdate]) -> None:
        """In their order. When one fails, the rest of its chat waits for it."""
        self._spoken = await sync_to_async(languages.of_updates)(rows)
        handled: list[ReceivedUpdate] = []
        held: list[ReceivedUpdate] = []
        failed: set[str] = set()
        for row in rows:
            if row.chat in failed:
                held.append(row)
            elif await self._handle(row):
                handled.append(row)
            else:
                failed.add(row.chat)
        done = await self._settle(handled, held)
        # One statement for the whole batch; it leaves alone what was decided.
        await sync_to_async(inbox.finish)(done, self.owner)
        if held:
            await sync_to_async(inbox.put_back)(held, self.owner)

    async def _handle(self, row: ReceivedUpdate) -> bool:
        """Let the handlers say what they want. False when the update must be handled again."""
        try:
            update = read_update(json.loads(row.payload), self.application.bot)
        except Exception as error:
            # A payload may break PTB's parser in any way; the next update must not wait for it.
            logger.warning("Update %s cannot be read: %s", row.update_id, type(error).__name__)
            if inbox.is_inline(row):
                await sync_to_async(inbox.discard)(row)
                return True
            await sync_to_async(inbox.finish)([row], self.owner, f"cannot be read: {error!r}")
            return True
        if update.inline_query is not None:
            if timezone.now() - row.received_at < QUERY_LASTS:
                with languages.speaking(self._spoken[row.update_id]):
                    self.speaker.aside(inline.offer(self.application.bot, update.inline_query))
            # What people type there is not meant for us to keep, and nobody waits for it after a crash.
            await sync_to_async(inbox.discard)(row)
            return True
        with languages.speaking(self._spoken[row.update_id]):
            await self.application.process_update(update)
        failure = self.application.bot_data.setdefault(FAILURES, {}).pop(row.update_id, None)
        return failure is None or await self._give_up(row, update, failure)

    async def _settle(self, rows: list[ReceivedUpdate], held: list[ReceivedUpdate]) -> list[ReceivedUpdate]:
        """Do what the handlers want for all of them. Returns those that are done; what has to wait joins held."""
        wishes = self.decisions.take([row.update_id for row in rows])
        if not wishes:
            return rows
        try:
            self.speaker.toast(await sync_to_async(settle)(wishes, self._spoken))
            return rows
        except Exception as error:
            # What one of them does to the database must not cost the others.
            logger.warning("%s updates are decided one by one: %s", len(wishes), type(error).__name__)
        done: list[ReceivedUpdate] = []
        failed: set[str] = set()
        for row in rows:
            if row.chat in failed:
                held.append(row)
            elif row.update_id not in wishes or await self._settle_one(row, wishes[row.update_id]):
                done.append(row)
            else:
                failed.add(row.chat)
        return done

    async def _settle_one(self, row: ReceivedUpdate, wish: Wish) -> bool:
        """False when the update must be handled again."""
        try:
            self.speaker.toast(await sync_to_async(settle)({row.update_id: wish}, self._spoken))
        except Exception as error:
            update = read_update(json.loads(row.payload), self.application.bot)
            return await self._give_up(row, update, error)
        return True

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
        with languages.speaking(self._spoken[row.update_id]):
            toast, words = texts.trouble_with_button(), texts.trouble()
        if update.callback_query is not None:
            self.speaker.toast({update.callback_query.id: Pressed(toast)})
            await sync_to_async(inbox.finish)([row], self.owner, reason)
        elif message is not None and is_private(message):
            # Better than silence.
            await sync_to_async(outbox.decide)([outbox.Decision(row.update_id, words)], error=reason)
        else:
            await sync_to_async(inbox.finish)([row], self.owner, reason)
        return True
