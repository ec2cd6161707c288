"""Fetches updates: stored first, confirmed by the next call's offset. PTB's own updater confirms from memory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections
from telegram import Bot
from telegram.error import Conflict, RetryAfter, TelegramError

from . import inbox
from .errors import Next, sort

logger = logging.getLogger(__name__)

# How long Telegram may hold a call open while nothing happens.
LONG_POLL_SECONDS = 25
ALLOWED_UPDATES = ["message", "edited_message", "callback_query", "my_chat_member"]
CONFLICT_PAUSE = 5.0
UNREACHABLE = "telegram_unreachable"
LONGEST_PAUSE = 30.0
# PTB's bot has a method for getUpdates and warns whoever calls the endpoint by its name. But that method parses, and
# gives up a hundred updates for one that it cannot parse.
GET_UPDATES = "get_Updates"


def allowed_updates(bot: Bot) -> list[str]:
    """The kinds that we want to hear of. Inline mode is switched on and off with BotFather."""
    return [*ALLOWED_UPDATES, *(["inline_query"] if bot.supports_inline_queries else [])]


class TokenRefused(Exception):
    """Telegram does not know this token (any more)."""


class Complaints:
    """One log line a minute per problem, however often it is met."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}
        # The latest, in one word for /healthz: "" when all is well, None while nobody knows.
        self.problem: str | None = None

    def say(self, kind: str, words: str) -> None:
        self.problem = kind
        now = time.monotonic()
        if now - self._said_at.get(kind, -60.0) >= 60:
            self._said_at[kind] = now
            logger.error("%s", words)

    def over(self) -> None:
        self.problem = ""
        if self._said_at:
            logger.info("Fetching updates works again.")
            self._said_at.clear()


async def poll(bot: Bot, on_stored: Callable[[], object] = lambda: None, complaints: Complaints | None = None) -> None:
    """Fetch and store for ever. Raises TokenRefused."""
    offset: int | None = None
    failures = 0
    complaints = complaints or Complaints()
    while True:
        try:
            updates = await fetch(bot, offset)
            await sync_to_async(close_old_connections)()
            # Not to be cut off by a shutdown between the database and the answer to it.
            fresh = await asyncio.shield(sync_to_async(inbox.store)(updates))
        except Conflict as error:
            words = f"Another process fetches this bot's updates, or a webhook is set: {error.message}"
            complaints.say("conflict", words)
            await asyncio.sleep(CONFLICT_PAUSE)
            continue
        except TelegramError as error:
            verdict = sort(error)
            if verdict.next is Next.STOP:
                raise TokenRefused from None
            failures += 1
            complaints.say(UNREACHABLE, f"Telegram cannot be reached: {verdict.reason}")
            pause = min(2.0 ** (failures - 1), LONGEST_PAUSE)
            await asyncio.sleep(max(pause, verdict.wait) if isinstance(error, RetryAfter) else pause)
            continue
        except DatabaseError as error:
            # Nothing was confirmed, so Telegram sends the same updates again.
            failures += 1
            complaints.say("database_unreachable", f"Updates cannot be stored: {type(error).__name__}: {error}")
            await asyncio.sleep(min(2.0 ** (failures - 1), LONGEST_PAUSE))
            continue
        failures = 0
        complaints.over()
        offset = next_offset(updates, offset)
        if fresh:
            on_stored()


async def fetch(bot: Bot, offset: int | None) -> list[dict[str, Any]]:
    """One long poll. The offset confirms everything below it."""
    asked = {"timeout": LONG_POLL_SECONDS, "limit": 100, "allowed_updates": allowed_updates(bot)}
    if offset is not None:
        asked["offset"] = offset
    updates = await bot.do_api_request(GET_UPDATES, asked, read_timeout=LONG_POLL_SECONDS + 10)
    return updates if isinstance(updates, list) else []


def next_offset(updates: list[dict[str, Any]], offset: int | None) -> int | None:
    numbers = [update["update_id"] for update in updates if isinstance(update.get("update_id"), int)]
    return max(numbers) + 1 if numbers else offset
