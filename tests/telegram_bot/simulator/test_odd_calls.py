"""Whatever a bot sends, the stand-in answers or refuses; it never fails itself."""

from __future__ import annotations

import html
import json
import random
from contextlib import suppress
from typing import Any

import pytest
from telegram.helpers import escape_markdown

from telegram_bot.simulator import people
from telegram_bot.simulator.entities import utf16_length
from telegram_bot.simulator.errors import ApiError
from telegram_bot.simulator.formatting import parse
from telegram_bot.simulator.methods import METHODS, perform
from telegram_bot.simulator.params import Params
from telegram_bot.simulator.world import World

from .conftest import CHAT

NAMES = [
    "chat_id",
    "message_id",
    "text",
    "caption",
    "parse_mode",
    "entities",
    "caption_entities",
    "reply_markup",
    "media",
    "video",
    "photo",
    "document",
    "animation",
    "thumbnail",
    "cover",
    "width",
    "duration",
    "start_timestamp",
    "reply_parameters",
    "message_thread_id",
    "action",
    "callback_query_id",
    "reaction",
    "commands",
    "scope",
    "url",
    "from_chat_id",
    "message_ids",
    "file_id",
    "language_code",
    "allowed_updates",
    "offset",
    "limit",
    "user_id",
    "secret_token",
    "max_connections",
    "description",
]
TEXTS = ["", "x", "{", "[[[", "<b>", "attach://x", "https://e.org", "\ud83d", "\x00", "HTML", "😀" * 5000]
NUMBERS = [None, True, 0, -1, 1.5, 2**63, float("inf")]
LISTS: list[Any] = [[], [1], [[1]], ["x"], [{}], [{"type": 1}], [{"type": "emoji"}], [{"command": 1}]]
OBJECTS: list[Any] = [
    {},
    {"type": "video"},
    {"type": "video", "media": 1},
    {"type": "animation", "media": []},
    {"message_id": "x", "quote": 1},
    {"inline_keyboard": 1},
    {"inline_keyboard": [[1]]},
    {"inline_keyboard": [[{"text": "x", "url": 1}]]},
    {"inline_keyboard": [[{"text": "x", "callback_data": {}}]]},
    [{"type": "bold", "offset": "x", "length": 1}],
    [{"type": "bold", "offset": 0, "length": 2**40}],
]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_odd_values_are_refused_or_taken(method: str) -> None:
    plain = {"chat_id": CHAT, "from_chat_id": CHAT, "message_id": 2, "text": "words"}
    for value in [*TEXTS, *NUMBERS, *LISTS, *OBJECTS]:
        world = World()
        people.say(world, CHAT, "typed")
        perform(world, "sendMessage", Params({"chat_id": CHAT, "text": "mine"}))
        # In every place, in every place but those that lead to a message, and in each place alone.
        everywhere = dict.fromkeys(NAMES, value)
        for values in (everywhere, everywhere | plain):
            call(world, method, values)
            call(world, method, {name: json.dumps(entry) for name, entry in values.items()})
        for name in NAMES:
            call(world, method, plain | {name: value})


def call(world: World, method: str, values: dict[str, Any]) -> None:
    try:
        params = Params(values)
        json.dumps(params.record())
        json.dumps(perform(world, method, params))
    except ApiError:
        return
    except Exception as error:
        error.add_note(f"{method} with {values!a}")
        raise


PIECES = [
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    "<a href='x'>",
    "</a>",
    "&lt;",
    "&",
    "<",
    ">",
    "*",
    "_",
    "__",
    "||",
    "~",
    "`",
    "```",
]
PIECES += ["[", "](", ")", "!", "\\", "\n", " ", "a", "😀", "/cmd", "@name", "https://e.org", "\ud83d", "\x00", "."]


def some_texts(count: int) -> list[str]:
    chance = random.Random(7)
    return ["".join(chance.choices(PIECES, k=chance.randint(1, 12))) for _ in range(count)]


@pytest.mark.parametrize("mode", ["", "HTML", "Markdown", "MarkdownV2"])
def test_any_text_is_read_or_refused_and_marks_stay_inside_it(mode: str) -> None:
    read = 0
    for text in some_texts(1500):
        with suppress(ApiError):
            rich = parse(text, mode)
            read += 1
            for entity in rich.entities:
                assert 0 <= entity["offset"] < entity["offset"] + entity["length"] <= utf16_length(rich.text), text
    assert read > 100


def test_text_escaped_as_its_mode_wants_arrives_as_it_was() -> None:
    for text in some_texts(1500):
        shown = parse(text).text
        assert parse(html.escape(text), "HTML").text == shown
        assert parse(escape_markdown(text, version=2), "MarkdownV2").text == shown
