"""Tells Telegram where to post updates, and looks from time to time whether that works."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from django.conf import settings
from telegram import Bot
from telegram.error import BadRequest, TelegramError

from .errors import Next, sort
from .polling import UNREACHABLE, Complaints, TokenRefused, allowed_updates

logger = logging.getLogger(__name__)

# Posts at one time. Storing one takes milliseconds, and the web process needs threads for people too.
MAX_CONNECTIONS = 5
WATCH_SECONDS = 30.0


class AddressRefused(Exception):
    """Telegram will not post to WEBHOOK_URL; the message says why."""


async def subscribe(bot: Bot) -> None:
    """What waits at Telegram is kept and posted. Raises AddressRefused and PTB's errors."""
    try:
        await bot.set_webhook(
            settings.WEBHOOK_URL,
            secret_token=settings.WEBHOOK_SECRET,
            allowed_updates=allowed_updates(bot),
            max_connections=MAX_CONNECTIONS,
            drop_pending_updates=False,
        )
    except BadRequest as error:
        raise AddressRefused(error.message) from None


async def watch(bot: Bot, complaints: Complaints) -> None:
    """Look for ever. Telegram tells nobody that its posts fail, except those who ask. Raises TokenRefused."""
    told: datetime | None = None
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            told = await look(bot, told)
            complaints.problem = ""
        except AddressRefused as error:
            complaints.problem = "webhook_refused"
            logger.error("The webhook was taken away and cannot be set again: %s", error)
        except TelegramError as error:
            verdict = sort(error)
            if verdict.next is Next.STOP:
                raise TokenRefused from None
            complaints.problem = UNREACHABLE
            logger.warning("Telegram cannot be asked about the webhook: %s", verdict.reason)


async def look(bot: Bot, told: datetime | None) -> datetime | None:
    """Report a failure that is newer than the last one told. Set the webhook again where somebody has changed it."""
    info = await bot.get_webhook_info()
    if info.url != settings.WEBHOOK_URL:
        logger.error("Somebody has changed the bot's webhook. It is set again; does another program use this token?")
        await subscribe(bot)
    elif info.last_error_date is not None and info.last_error_date != told:
        words = "Telegram could not deliver to WEBHOOK_URL: %s (%s updates wait there)"
        logger.error(words, info.last_error_message, info.pending_update_count)
        return info.last_error_date
    return told
