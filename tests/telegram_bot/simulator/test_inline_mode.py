"""Inline mode as Telegram has it: off until BotFather says so, one answer in time, files of their own kind only."""

from __future__ import annotations

import pytest
from telegram import (
    Bot,
    ChatMemberAdministrator,
    ChatMemberMember,
    InlineQueryResultArticle,
    InlineQueryResultCachedMpeg4Gif,
    InlineQueryResultCachedVideo,
    InputTextMessageContent,
)
from telegram.error import BadRequest

from telegram_bot.simulator import Simulator

from .conftest import CHAT


async def test_a_bot_learns_of_the_switch_from_get_me(bot: Bot, sim: Simulator) -> None:
    sim.ask_inline(CHAT, "cat")
    assert await bot.get_updates() == ()
    assert not (await bot.get_me()).supports_inline_queries
    sim.allow_inline()
    assert (await bot.get_me()).supports_inline_queries
    sim.ask_inline(CHAT, "cat", "7")
    [update] = await bot.get_updates()
    assert update.inline_query is not None
    assert (update.inline_query.query, update.inline_query.offset) == ("cat", "7")
    assert update.inline_query.from_user.username == "ada"


async def test_an_answer_is_taken_once_and_only_with_files_of_their_own_kind(
    bot: Bot, sim: Simulator, clip: bytes
) -> None:
    sim.allow_inline()
    asked = sim.ask_inline(CHAT, "")
    [update] = await bot.get_updates()
    assert update.inline_query is not None
    video = (await bot.send_video(CHAT, clip)).video
    assert video is not None
    query, good = update.inline_query.id, InlineQueryResultCachedVideo("1", video.file_id, "a cat")
    refused = [
        ([InlineQueryResultCachedMpeg4Gif("1", video.file_id)], "Wrong file identifier"),
        ([InlineQueryResultCachedVideo("1", "nonsense", "a cat")], "Wrong file identifier"),
        ([good, good], "(?i)result_id_invalid"),
        ([InlineQueryResultCachedVideo(str(number), video.file_id, "a cat") for number in range(51)], "(?i)too_much"),
        ([InlineQueryResultArticle("1", "words", InputTextMessageContent("words"))], "(?i)only cached files"),
    ]
    for results, words in refused:
        with pytest.raises(BadRequest, match=words):
            await bot.answer_inline_query(query, results)
    assert sim.inline_answer(asked) is None
    assert await bot.answer_inline_query(query, [good], is_personal=True)
    answer = sim.inline_answer(asked)
    assert answer is not None
    assert (answer["is_personal"], len(answer["results"])) == (True, 1)
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_inline_query(query, [good])


async def test_administrators_of_a_group_are_told(bot: Bot, sim: Simulator) -> None:
    sim.add_chat(-7, "supergroup", "Films")
    sim.promote(-7, CHAT)
    sim.add_user(8, "Bo")
    [admin] = await bot.get_chat_administrators(-7)
    assert isinstance(admin, ChatMemberAdministrator)
    assert admin.user.id == CHAT
    assert isinstance(await bot.get_chat_member(-7, CHAT), ChatMemberAdministrator)
    assert isinstance(await bot.get_chat_member(-7, 8), ChatMemberMember)
    with pytest.raises(BadRequest, match="private chat"):
        await bot.get_chat_administrators(CHAT)
