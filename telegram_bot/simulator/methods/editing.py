"""Methods that change a message in place."""

from __future__ import annotations

from ..chats import Chat, Message
from ..errors import Json, bad_request
from ..params import Params
from ..world import World
from .common import inline_keyboard, rich_caption, rich_text, target
from .media import input_media

TEXT = ("text", "entities")
CAPTION = ("caption", "caption_entities", "show_caption_above_media")
MEDIA = ("video", "animation", "document", "photo", "has_media_spoiler")
KEYBOARD = ("reply_markup",)


def _editable(world: World, params: Params) -> tuple[Chat, Message]:
    chat = target(world, params)
    message = chat.message(params.integer("message_id"))
    if message is None:
        raise bad_request("message to edit not found")
    if not message.from_bot:
        raise bad_request("message can't be edited")
    return chat, message


def _replace(world: World, chat: Chat, message: Message, gone: tuple[str, ...], fields: Json) -> Json:
    """Put `fields` in the place of everything in `gone`; nothing new is an error of its own."""
    data = {key: value for key, value in message.data.items() if key not in gone} | fields
    before, after = _shown(message.data), _shown(data)
    if before == after:
        raise bad_request(
            "message is not modified: specified new message content and reply markup "
            "are exactly the same as a current content and reply markup of the message"
        )
    return world.change(chat, message, data).data


def _shown(data: Json) -> Json:
    """What counts as content. Of files only which ones: their facts do not make an edit."""
    shown: Json = {key: data[key] for key in (*TEXT, *CAPTION, *KEYBOARD) if key in data}
    for key in MEDIA:
        media = data.get(key)
        if isinstance(media, dict):
            shown[key] = media["file_id"]
        elif isinstance(media, list):
            shown[key] = media[-1]["file_id"]
        elif media:
            shown[key] = media
    return shown


def edit_text(world: World, params: Params) -> Json:
    """editMessageText"""
    chat, message = _editable(world, params)
    if "text" not in message.data:
        raise bad_request("there is no text in the message to edit")
    return _replace(world, chat, message, TEXT + KEYBOARD, rich_text(params) | inline_keyboard(params))


def edit_caption(world: World, params: Params) -> Json:
    """editMessageCaption"""
    chat, message = _editable(world, params)
    if not any(key in message.data for key in MEDIA):
        raise bad_request("there is no caption in the message to edit")
    return _replace(world, chat, message, CAPTION + KEYBOARD, rich_caption(params) | inline_keyboard(params))


def edit_media(world: World, params: Params) -> Json:
    """editMessageMedia: a text message may become a video, but never a text again"""
    chat, message = _editable(world, params)
    fields, inner = input_media(world, params)
    fields |= rich_caption(inner) | inline_keyboard(params)
    if inner.flag("has_spoiler") and "document" not in fields:
        fields["has_media_spoiler"] = True
    return _replace(world, chat, message, TEXT + CAPTION + MEDIA + KEYBOARD, fields)


def edit_markup(world: World, params: Params) -> Json:
    """editMessageReplyMarkup"""
    chat, message = _editable(world, params)
    return _replace(world, chat, message, KEYBOARD, inline_keyboard(params))


METHODS = {
    "editMessageText": edit_text,
    "editMessageCaption": edit_caption,
    "editMessageMedia": edit_media,
    "editMessageReplyMarkup": edit_markup,
}
