"""Keeps the status messages true while people wait. Nothing here may ever fail a job, or hold up a result."""

from __future__ import annotations

import logging
import time

from asgiref.sync import sync_to_async
from django.utils import timezone
from telegram.error import TelegramError
from telegram.ext import ExtBot

from generations import services

from .. import languages
from ..buttons import markup
from ..errors import Next, sort
from ..limiter import OPTIONAL
from ..sending import chat_lost
from . import keyboards, rows
from .rows import StatusEdit

logger = logging.getLogger(__name__)

# Seconds between two edits in one chat. A group may hear 20 messages a minute, and people talk there.
WHILE_RENDERING = 3.0
WHILE_QUEUED = 10.0
IN_GROUPS = 10.0
LONGEST_PAUSE = max(WHILE_RENDERING, WHILE_QUEUED, IN_GROUPS)
# Of the 25 calls a second that all chats share, so that a long queue cannot crowd out the results.
EDITS_PER_TICK = 5


class StatusBoard:
    """Which status messages to edit now. Remembers when each chat was last edited."""

    def __init__(self, bot: ExtBot[int]) -> None:
        self.bot = bot
        self._edited_at: dict[int, float] = {}
        self._looks = 0

    async def due(self, avoid: set[int]) -> list[StatusEdit]:
        """At most one edit per chat, and none in chats to avoid."""
        now = time.monotonic()
        self._edited_at = {chat: at for chat, at in self._edited_at.items() if now - at < LONGEST_PAUSE}
        edits: dict[int, StatusEdit] = {}
        self._looks += 1
        for edit in await sync_to_async(rows.stale_statuses)(self._looks):
            if edit.chat_id not in avoid and edit.chat_id not in edits and self._rested(edit, now):
                edits[edit.chat_id] = edit
                if len(edits) == EDITS_PER_TICK:
                    break
        for chat_id in edits:
            self._edited_at[chat_id] = now
        return list(edits.values())

    def _rested(self, edit: StatusEdit, now: float) -> bool:
        pause = WHILE_RENDERING if edit.rendering else WHILE_QUEUED
        if edit.chat_id < 0:
            pause = max(pause, IN_GROUPS)
        return now - self._edited_at.get(edit.chat_id, -pause) >= pause

    async def show(self, edit: StatusEdit) -> None:
        """One edit; every error is only noted."""
        # The result may have taken the message's place since.
        if not await sync_to_async(rows.still_waited_for)(edit.pk):
            return
        began = timezone.now()
        with languages.speaking(edit.language):
            buttons = None if edit.held else markup(keyboards.waiting(edit.pk))
        try:
            await self.bot.edit_message_text(
                edit.text,
                chat_id=edit.chat_id,
                message_id=edit.message_id,
                reply_markup=buttons,
                rate_limit_args=OPTIONAL,
            )
        except TelegramError as error:
            verdict = sort(error)
            logger.debug("Status of %s: %s", edit.pk, verdict.reason)
            if verdict.next is Next.GONE:
                await sync_to_async(rows.forget_status)(edit.pk, edit.message_id)
            elif verdict.next is Next.MOVED and verdict.chat_id is not None:
                await sync_to_async(services.chat_moved)(edit.chat_id, verdict.chat_id)
            elif verdict.next is Next.UNREACHABLE:
                # Before anything is rendered for nobody.
                await chat_lost(edit.chat_id, verdict, since=began)
            # A message that is a video already (the database was restored from a copy) becomes it once more.
            if verdict.next not in {Next.DONE, Next.REFUSED, Next.GIVE_UP, Next.UNREACHABLE, Next.NO_TEXT}:
                return
        # Refused for good is noted too: the same text is never tried twice.
        await sync_to_async(rows.status_shown)(edit)
