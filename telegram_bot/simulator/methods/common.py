"""Steps that sending and editing share."""

from __future__ import annotations

from ..chats import Chat, Message, quoted
from ..entities import Rich
from ..errors import Json, bad_request
from ..formatting import parse
from ..limits import check_caption, check_markup, check_text
from ..params import Params
from ..world import World


def target(world: World, params: Params) -> Chat:
    """The chat to write to."""
    chat = world.find_chat(params.values.get("chat_id"))
    chat.check_writable()
    return chat


def rich_text(params: Params) -> Json:
    """`text` as message fields."""
    rich = check_text(parse(params.text("text"), params.text("parse_mode"), params.objects("entities")))
    return _fields(rich, "text", "entities")


def rich_caption(params: Params) -> Json:
    """`caption` as message fields; empty is allowed."""
    rich = check_caption(parse(params.text("caption"), params.text("parse_mode"), params.objects("caption_entities")))
    fields = _fields(rich, "caption", "caption_entities")
    if rich.text and params.flag("show_caption_above_media"):
        fields["show_caption_above_media"] = True
    return fields


def _fields(rich: Rich, text: str, entities: str) -> Json:
    fields: Json = {text: rich.text} if rich.text else {}
    if rich.entities:
        fields[entities] = rich.entities
    return fields


def inline_keyboard(params: Params) -> Json:
    """`reply_markup`, as far as it stays part of the message."""
    markup = check_markup(params.object("reply_markup"))
    if markup and markup.get("inline_keyboard"):
        return {"reply_markup": markup}
    return {}


def other_keyboard(params: Params) -> Json | None:
    """A keyboard that replaces the person's own, or takes it away."""
    markup = check_markup(params.object("reply_markup"))
    return markup if markup and "inline_keyboard" not in markup else None


def placement(chat: Chat, params: Params) -> Json:
    """Which message is answered, and in which topic."""
    reply = _answered(chat, params)
    fields: Json = {"reply_to_message": quoted(reply)} if reply is not None else {}
    quote = params.object("reply_parameters").get("quote")
    if reply is not None and quote:
        fields["quote"] = {"text": quote, "position": 0, "is_manual": True}
    return chat.topic_for(params.integer("message_thread_id"), reply) | fields


def _answered(chat: Chat, params: Params) -> Message | None:
    wanted = Params(params.object("reply_parameters"))
    number = wanted.integer("message_id") or params.integer("reply_to_message_id")
    if not number:
        return None
    message = chat.message(number)
    optional = wanted.flag("allow_sending_without_reply") or params.flag("allow_sending_without_reply")
    if message is None and not optional:
        raise bad_request("message to be replied not found")
    return message


def send(world: World, chat: Chat, params: Params, content: Json) -> Json:
    """Post a bot's message and give it as the API returns it."""
    keyboard = other_keyboard(params)
    fields = placement(chat, params) | content | inline_keyboard(params)
    if params.flag("protect_content"):
        fields["has_protected_content"] = True
    if params.text("message_effect_id"):
        fields["effect_id"] = params.text("message_effect_id")
    message = world.post(chat, world.bot, fields)
    if keyboard is not None:
        chat.keyboard = keyboard if keyboard.get("keyboard") else None
        world.emit("keyboard", chat, keyboard=chat.keyboard)
    return message.data
