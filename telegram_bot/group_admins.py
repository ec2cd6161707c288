"""Presses for a group that writes under its own name.

Telegram hides which administrator wrote an anonymous message, so its group is the requester. A press is not anonymous:
it comes from the administrator's own number.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from telegram import Bot
from telegram.error import TelegramError

from generations import asked, services

from . import job_buttons, language_note
from .buttons import Press
from .errors import sort

logger = logging.getLogger(__name__)

# What any administrator may do with the group's own jobs. What brings a file or a question is for whoever asked.
ON_JOBS = frozenset(job_buttons.ACTIONS) - {"edit", "file", "gif", "report"}
ON_ASKED = frozenset(language_note.ACTIONS)
# How long the list of a group's administrators is believed, and a failure to get it.
LASTS = timedelta(minutes=5)
FAILURE_LASTS = timedelta(seconds=30)
# Other people's updates wait for this answer.
PATIENCE = 3.0
# Groups whose lists are kept.
MOST_GROUPS = 1000
# Under this name in the application's bot_data.
KEPT = "group_admins"


@dataclass(frozen=True)
class Admins:
    numbers: frozenset[int]
    until: float


async def for_their_group(press: Press, bot: Bot, bot_data: dict[str, Any]) -> Press:
    """The press as the group's own, when an administrator presses a button of what the group asked for."""
    if press.chat_id > 0 or press.person.user_id == press.chat_id:
        return press
    if await sync_to_async(_requester)(press) != press.chat_id:
        return press
    kept: dict[int, Admins] = bot_data.setdefault(KEPT, {})
    admins = kept.get(press.chat_id)
    if admins is None or admins.until < time.monotonic():
        if len(kept) >= MOST_GROUPS:
            kept.clear()
        admins = kept[press.chat_id] = await _ask(bot, press.chat_id)
    if press.person.user_id not in admins.numbers:
        return press
    group = await sync_to_async(services.known_person)(press.chat_id)
    return press if group is None else replace(press, person=group)


def _requester(press: Press) -> int | None:
    """Who asked for what the button is about, where an administrator may stand in."""
    number = press.number()
    if number is None:
        return None
    if press.action in ON_JOBS:
        return services.requester_of(number)
    return asked.asker(number) if press.action in ON_ASKED else None


async def _ask(bot: Bot, chat_id: int) -> Admins:
    """One call for all of a group: a button that everybody there can see is pressed by many."""
    try:
        found = await asyncio.wait_for(bot.get_chat_administrators(chat_id), PATIENCE)
    except (TelegramError, TimeoutError) as error:
        reason = sort(error).reason if isinstance(error, TelegramError) else "no answer in time"
        logger.warning("Who administers chat %s is not known: %s", chat_id, reason)
        return Admins(frozenset(), time.monotonic() + FAILURE_LASTS.total_seconds())
    return Admins(frozenset(member.user.id for member in found), time.monotonic() + LASTS.total_seconds())
