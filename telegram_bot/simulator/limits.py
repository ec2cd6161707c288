"""The limits that bite, each with the words Telegram uses."""

from __future__ import annotations

import re
from typing import Any

from .entities import Rich, utf16_length
from .errors import ApiError, Json, bad_request

# A whole upload, 50 MB; the multipart framing around it is allowed some air.
MAX_UPLOAD = 50 * 1024 * 1024
FRAMING = 64 * 1024
# What a bot may download again, 20 MB.
MAX_DOWNLOAD = 20 * 1024 * 1024
# A photo, 10 MB.
MAX_PHOTO = 10 * 1024 * 1024
# Text and caption after parsing, in UTF-16 units.
MAX_TEXT = 4096
MAX_CAPTION = 1024
# Data behind a button, in bytes.
MAX_CALLBACK_DATA = 64
# A toast after a button press.
MAX_CALLBACK_ANSWER = 200

BUTTON_ACTIONS = {
    "callback_data",
    "url",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
}
CHAT_ACTIONS = {
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
}
COMMAND = re.compile(r"[a-z0-9_]{1,32}")


def check_text(rich: Rich) -> Rich:
    """A message needs 1 to 4096 units of text."""
    if not rich.text:
        raise bad_request("message text is empty")
    if utf16_length(rich.text) > MAX_TEXT:
        raise bad_request("message is too long")
    return rich


def check_caption(rich: Rich) -> Rich:
    """A caption may be empty, but not over 1024 units."""
    if utf16_length(rich.text) > MAX_CAPTION:
        raise bad_request("message caption is too long")
    return rich


def too_large() -> ApiError:
    """An upload over 50 MB."""
    return ApiError(413, "Request Entity Too Large")


def _check_button(button: Any) -> None:
    if not isinstance(button, dict) or not isinstance(button.get("text"), str):
        raise bad_request('can\'t parse inline keyboard button: Field "text" must be of type String')
    actions = BUTTON_ACTIONS & button.keys()
    if not actions:
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if "callback_data" in actions:
        data = str(button["callback_data"])
        if not 1 <= len(data.encode("utf-8", "surrogatepass")) <= MAX_CALLBACK_DATA:
            raise bad_request("BUTTON_DATA_INVALID")
    if "url" in actions and not re.match(r"(https?|tg)://[^\s]+", str(button["url"])):
        raise bad_request(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")


def check_markup(markup: Json) -> Json | None:
    """A keyboard under a message; only inline ones stay part of the message."""
    if not markup:
        return None
    if "inline_keyboard" not in markup:
        return dict(markup)
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    for row in rows:
        for button in row:
            _check_button(button)
    if sum(len(row) for row in rows) > 100:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    return {"inline_keyboard": [row for row in rows if row]}


def check_commands(commands: list[Json]) -> list[Json]:
    """The list behind the menu button."""
    if len(commands) > 100:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    checked = []
    for command in commands:
        name, description = str(command.get("command", "")).lstrip("/"), str(command.get("description", ""))
        if not COMMAND.fullmatch(name):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= utf16_length(description) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
        checked.append({"command": name, "description": description})
    return checked
