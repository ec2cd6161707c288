"""The one answer that a message gets. A handler says what it is; speaker.py sends it when its turn comes."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from telegram import Update

from . import outbox


async def answer(update: Update, text: str) -> None:
    """Reply to the update's message with words."""
    if update.effective_message is not None:
        await sync_to_async(outbox.decide)(update.update_id, text)
