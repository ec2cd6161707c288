"""Telegram is told the commands in every language, for private chats and for groups, and only when they changed."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from telegram import BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats

from telegram_bot import lease, menus, texts
from tests.telegram_bot.conftest import House

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
async def bot(house: House) -> Any:
    bot = house.application.bot
    await sync_to_async(lease.take)(str(bot.id), "bot 1")
    return bot


async def test_each_language_and_kind_of_chat_has_its_menu(bot: Any, house: House) -> None:
    await menus.offer(bot)
    private, groups = BotCommandScopeAllPrivateChats(), BotCommandScopeAllGroupChats()
    german = await bot.get_my_commands(private, "de")
    assert [command.command for command in german] == list(texts.COMMANDS)
    assert german[0].description == "Was dieser Bot macht"
    assert (await bot.get_my_commands(private))[0].description == "What this bot does"
    assert (await bot.get_my_commands(private, "zh"))[0].description == "这个机器人能做什么"
    in_group = await bot.get_my_commands(groups, "ru")
    assert [command.command for command in in_group] == ["video", "status", "again", "cancel", "help"]
    assert in_group[0].description == "Сделать видео из текста после команды"
    assert [command.command for command in await bot.get_my_commands()] == list(texts.COMMANDS)


async def test_a_restart_tells_nothing_that_telegram_knows(
    bot: Any, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await menus.offer(bot)
    calls = len(house.telegram.calls("setMyCommands"))
    assert calls == 11
    await menus.offer(bot)
    assert len(house.telegram.calls("setMyCommands")) == calls
    # A new version with one command more.
    monkeypatch.setitem(texts.COMMANDS, "new", "The newest")
    await menus.offer(bot)
    assert (await bot.get_my_commands())[-1].command == "new"


async def test_menus_that_telegram_refuses_are_told_again_at_the_next_start(
    bot: Any, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.telegram.fail("setMyCommands", status=400, description="Bad Request: BOT_COMMAND_INVALID", times=1)
    with caplog.at_level(logging.WARNING):
        await menus.offer(bot)
    assert caplog.text.count("The menus of commands were not set") == 1
    assert len(house.telegram.calls("setMyCommands")) == 1, "nobody waits for the others"
    await menus.offer(bot)
    assert (await bot.get_my_commands())[0].command == "start"
