"""Messages to operators that wait in the database until they are sent: once, in order, whoever has to wait for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.utils import timezone
from telegram import Message
from telegram.constants import MessageLimit
from telegram.error import TelegramError
from telegram.ext import ExtBot

from . import languages
from .captions import shorten
from .errors import Next, sort
from .models import Alert, Notice
from .operators import operator_chats
from .sending import Target, send

logger = logging.getLogger(__name__)

# Between attempts while Telegram provably does not take it, for a day.
RETRY_SECONDS = 30.0
PATIENCE = timedelta(days=1)
KEEP = timedelta(days=7)


def say(words: Callable[[], str], alert: Alert) -> int:
    """To be sent to all operators' chats, in place of what else of this alert waits. Returns how many chats."""
    Notice.objects.filter(alert=alert, begun_at=None, done_at=None).delete()
    chats = operator_chats()
    for chat_id, language in languages.of_chats(chats).items():
        with languages.speaking(language):
            Notice.objects.create(chat_id=chat_id, text=words(), alert=alert)
    return len(chats)


def due() -> Notice | None:
    """The oldest that may be sent, taken: nobody else sends it."""
    free = Q(not_before=None) | Q(not_before__lte=timezone.now())
    while True:
        notice = Notice.objects.filter(free, begun_at=None, done_at=None).order_by("pk").first()
        if notice is None or notice.begin():
            return notice


async def send_all(bot: ExtBot[int]) -> None:
    """Send all that can be sent now. One that could not leave this machine is enough to know."""
    while (notice := await sync_to_async(due)()) is not None:
        if await _send(bot, notice) is Next.NOT_SENT:
            return


async def _send(bot: ExtBot[int], notice: Notice) -> Next:
    text = shorten(notice.text, MessageLimit.MAX_TEXT_LENGTH)

    async def call(target: Target) -> Message:
        return await bot.send_message(text=text, **target.arguments())

    try:
        await send(Target(notice.chat_id), call)
    except TelegramError as error:
        verdict = sort(error)
        reason = f"{verdict.next.name}: {verdict.reason}"
        not_sent = verdict.next in {Next.WAIT, Next.NOT_SENT, Next.STOP}
        if not_sent and timezone.now() - notice.created_at < PATIENCE:
            await sync_to_async(notice.later)(max(verdict.wait, RETRY_SECONDS), reason)
            return verdict.next
        logger.warning("Operators' chat %s was not told: %s", notice.chat_id, verdict.reason)
        await sync_to_async(notice.done)(reason)
        return verdict.next
    await sync_to_async(notice.done)()
    return Next.DONE


def forget_old() -> None:
    Notice.objects.filter(created_at__lt=timezone.now() - KEEP).delete()
