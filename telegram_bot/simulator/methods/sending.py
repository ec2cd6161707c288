"""Methods that make a new message."""

from __future__ import annotations

from copy import deepcopy

from ..chats import Message
from ..errors import Json, bad_request
from ..params import Params
from ..world import World
from .common import rich_caption, rich_text, send, target
from .media import media_fields

# What a copy takes along from the original.
CONTENT = (
    "text",
    "entities",
    "caption",
    "caption_entities",
    "show_caption_above_media",
    "video",
    "animation",
    "document",
    "photo",
    "sticker",
    "voice",
)


def send_message(world: World, params: Params) -> Json:
    """sendMessage"""
    chat = target(world, params)
    return send(world, chat, params, rich_text(params))


def _send_media(world: World, params: Params, kind: str) -> Json:
    chat = target(world, params)
    fields = media_fields(world, kind, params, params.file(kind)) | rich_caption(params)
    if params.flag("has_spoiler") and "document" not in fields:
        fields["has_media_spoiler"] = True
    return send(world, chat, params, fields)


def send_video(world: World, params: Params) -> Json:
    """sendVideo"""
    return _send_media(world, params, "video")


def send_animation(world: World, params: Params) -> Json:
    """sendAnimation"""
    return _send_media(world, params, "animation")


def send_document(world: World, params: Params) -> Json:
    """sendDocument"""
    return _send_media(world, params, "document")


def send_photo(world: World, params: Params) -> Json:
    """sendPhoto"""
    return _send_media(world, params, "photo")


def _original(world: World, params: Params, verb: str) -> Message:
    message = world.find_chat(params.values.get("from_chat_id")).message(params.integer("message_id"))
    if message is None:
        raise bad_request(f"message to {verb} not found")
    return message


def _content(message: Message) -> Json:
    return deepcopy({key: message.data[key] for key in CONTENT if key in message.data})


def copy_message(world: World, params: Params) -> Json:
    """copyMessage"""
    chat = target(world, params)
    message = _original(world, params, "copy")
    content = _content(message)
    if not content:
        raise bad_request("message can't be copied")
    if params.text("caption") and "text" not in content:
        content = {key: value for key, value in content.items() if "caption" not in key} | rich_caption(params)
    return {"message_id": send(world, chat, params, content)["message_id"]}


def forward_message(world: World, params: Params) -> Json:
    """forwardMessage"""
    chat = target(world, params)
    message = _original(world, params, "forward")
    content = _content(message)
    if not content:
        raise bad_request("message can't be forwarded")
    origin = {"type": "user", "date": message.data["date"], "sender_user": message.data.get("from", world.bot)}
    return send(world, chat, params, content | {"forward_origin": origin})


METHODS = {
    "sendMessage": send_message,
    "sendVideo": send_video,
    "sendAnimation": send_animation,
    "sendDocument": send_document,
    "sendPhoto": send_photo,
    "copyMessage": copy_message,
    "forwardMessage": forward_message,
}
