"""The one status message of a job, sent when its prompt was accepted."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from telegram import Update

from generations.models import Generation

from ..answers import answer
from . import rows


async def announce(update: Update, generation: Generation) -> None:
    """Send it and note its number. Not twice: neither for a repeated update nor when the reply was lost."""
    text = await sync_to_async(rows.before_announcing)(generation.pk)
    if not text:
        return
    message = await answer(update, text)
    await sync_to_async(rows.announced)(generation.pk, message.message_id if message else None, text)
