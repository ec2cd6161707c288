"""The one answer that a message gets: sent once, and not again when nobody knows whether it arrived."""

from __future__ import annotations

import logging

from asgiref.sync import sync_to_async
from telegram import Message, Update
from telegram.constants import MessageLimit
from telegram.error import TelegramError

from . import inbox, texts
from .addressing import is_private, place_of
from .captions import shorten
from .errors import Next, sort
from .sending import Target, send

logger = logging.getLogger(__name__)

# Between attempts while Telegram cannot be reached.
RETRY_SECONDS = 5.0


class NotSent(Exception):
    """The answer provably did not go out: handle the update again after the wait."""

    def __init__(self, wait: float, reason: str) -> None:
        super().__init__(reason)
        self.wait = wait


async def answer(update: Update, text: str) -> Message | None:
    """Reply to the update's message. None when it may have been answered before, or never can be.

    Raises NotSent, and TelegramError when the token is refused.
    """
    message = update.effective_message
    if message is None or not await sync_to_async(inbox.begin_answer)(update.update_id):
        return None
    place = place_of(message)
    short = shorten(text, MessageLimit.MAX_TEXT_LENGTH)

    async def call(target: Target) -> Message:
        return await message.get_bot().send_message(text=short, **target.arguments())

    try:
        return await send(Target(place.chat_id, place.thread_id, place.prompt_message_id), call)
    except TelegramError as error:
        verdict = sort(error)
        if verdict.next in {Next.WAIT, Next.NOT_SENT, Next.STOP}:
            await sync_to_async(inbox.take_back_answer)(update.update_id)
            raise NotSent(verdict.wait or RETRY_SECONDS, verdict.reason) from None
        # Blocked, or refused, or perhaps sent: each is the end of it.
        logger.warning("Chat %s was not answered: %s", place.chat_id, verdict.reason)
        return None


async def apologise(update: Update | None) -> None:
    """For a private message whose handler does not work: better than silence. Best effort."""
    message = update.effective_message if update is not None else None
    if update is None or message is None or not is_private(message):
        return
    try:
        await answer(update, texts.trouble())
    except Exception as error:
        logger.warning("Update %s was not answered: %s", update.update_id, type(error).__name__)
