"""What people see above the chat while a file is on its way to Telegram: "sending a video"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from telegram.error import TelegramError
from telegram.ext import ExtBot

from .limiter import OPTIONAL

# An upload that is done by then needs no sign, which is a call of its own.
PATIENCE = 2.0
# Telegram shows it for five seconds.
AGAIN = 4.5


@asynccontextmanager
async def shown(bot: ExtBot[int], chat_id: int, thread_id: int | None, action: str) -> AsyncIterator[None]:
    """While the block uploads, for as long as it takes; never before the upload's own call, and never instead."""
    sign = asyncio.create_task(_show(bot, chat_id, thread_id, action))
    try:
        yield
    finally:
        sign.cancel()
        await asyncio.wait([sign])


async def _show(bot: ExtBot[int], chat_id: int, thread_id: int | None, action: str) -> None:
    await asyncio.sleep(PATIENCE)
    try:
        while True:
            await bot.send_chat_action(chat_id, action, message_thread_id=thread_id, rate_limit_args=OPTIONAL)
            await asyncio.sleep(AGAIN)
    except TelegramError:
        # No room for it in the limits, or not wanted there. Nobody misses it.
        return
