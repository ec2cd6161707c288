"""The commands that Telegram shows behind the menu button, in each language, in private chats and in groups."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence

from asgiref.sync import sync_to_async
from django.conf import settings
from telegram import (
    BotCommand,
    BotCommandScope,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeDefault,
)
from telegram.error import TelegramError
from telegram.ext import ExtBot

from . import languages, lease, texts
from .errors import sort

logger = logging.getLogger(__name__)

# In a group everybody sees the menu, and most of what a person can ask for is nobody else's business.
IN_GROUPS = ("video", "status", "again", "cancel", "help")


def menus() -> Iterator[tuple[BotCommandScope, str, list[BotCommand]]]:
    """Scope, Telegram's language code ("" is for all others), and the commands."""
    for scope, names in (
        (BotCommandScopeAllPrivateChats(), tuple(texts.COMMANDS)),
        (BotCommandScopeAllGroupChats(), IN_GROUPS),
    ):
        for language in languages.NAMES:
            # Telegram knows languages of two letters here, so whoever reads Chinese gets the only one that there is.
            yield scope, "" if language == settings.LANGUAGE_CODE else language[:2], _described(names, language)
    # Seen where there is neither. Earlier versions set no other.
    yield BotCommandScopeDefault(), "", _described(tuple(texts.COMMANDS), settings.LANGUAGE_CODE)


def _described(names: Sequence[str], language: str) -> list[BotCommand]:
    with languages.speaking(language):
        return [BotCommand(name, texts.command(name)) for name in names]


async def offer(bot: ExtBot[int]) -> None:
    """Tell Telegram, which keeps them, when they are others than at the last start. It can wait for the next one."""
    wanted = list(menus())
    told = [[scope.to_dict(), code, [command.to_dict() for command in listed]] for scope, code, listed in wanted]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    bot_id = str(bot.id)
    if await sync_to_async(lease.menus_told)(bot_id) == digest:
        return
    try:
        for scope, code, listed in wanted:
            await bot.set_my_commands(listed, scope, code or None)
    except TelegramError as error:
        logger.warning("The menus of commands were not set: %s", sort(error).reason)
        return
    await sync_to_async(lease.tell_menus)(bot_id, digest)
