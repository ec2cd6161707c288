"""What people do: type, press, edit, send a sticker, block the bot."""

from __future__ import annotations

from copy import deepcopy

from .chats import Chat, Message, quoted
from .entities import find_entities
from .errors import Json, bad_request
from .samples import sample
from .world import Query, World


def _place(chat: Chat, reply_to: int | None, thread_id: int | None) -> Json:
    content: Json = {}
    reply = None
    if reply_to is not None:
        reply = chat.message(reply_to)
        if reply is None:
            raise bad_request("message to be replied not found")
        content["reply_to_message"] = quoted(reply)
    return content | chat.topic_for(thread_id or 0, reply)


def _deliver(world: World, chat: Chat, user_id: int | None, content: Json) -> Json:
    sender = world.add_user(user_id if user_id is not None else abs(chat.id))
    message = world.post(chat, sender, content)
    kind = "channel_post" if chat.type == "channel" else "message"
    return world.updates.push(kind, deepcopy(message.data))


def say(
    world: World,
    chat_id: int,
    text: str,
    user_id: int | None = None,
    reply_to: int | None = None,
    thread_id: int | None = None,
) -> Json:
    """Someone types a text; the chat and the person are made on first mention."""
    with world.bell.changing():
        chat = world.add_chat(chat_id)
        content: Json = {"text": text}
        entities = find_entities(text, [])
        if entities:
            content["entities"] = entities
        return _deliver(world, chat, user_id, content | _place(chat, reply_to, thread_id))


def send(
    world: World,
    chat_id: int,
    kind: str,
    caption: str = "",
    user_id: int | None = None,
    reply_to: int | None = None,
    thread_id: int | None = None,
) -> Json:
    """Someone sends a sticker, photo, video, voice message, document, place, contact, dice, poll, or joins."""
    with world.bell.changing():
        chat = world.add_chat(chat_id)
        content = sample(world.files, kind)
        if caption:
            content["caption"] = caption
        return _deliver(world, chat, user_id, content | _place(chat, reply_to, thread_id))


def edit(world: World, chat_id: int, message_id: int, text: str) -> Json:
    """Someone changes what they wrote."""
    with world.bell.changing():
        chat, message = _message(world, chat_id, message_id)
        if message.from_bot:
            raise bad_request("people cannot edit the bot's messages")
        data = deepcopy(message.data)
        data["caption" if "caption" in data else "text"] = text
        world.change(chat, message, data)
        kind = "edited_channel_post" if chat.type == "channel" else "edited_message"
        return world.updates.push(kind, deepcopy(message.data))


def press(
    world: World,
    chat_id: int,
    message_id: int,
    button: str,
    user_id: int | None = None,
    expired: bool = False,
) -> Json:
    """Someone presses a button, named by its words or its data. `expired` makes the answer come too late."""
    with world.bell.changing():
        _, message = _message(world, chat_id, message_id)
        data = _data_of(message, button)
        user = world.add_user(user_id if user_id is not None else abs(chat_id))
        query_id = str(4_000_000_000 + len(world.queries))
        world.queries[query_id] = Query(chat_id, message_id, expired)
        payload = {
            "id": query_id,
            "from": dict(user),
            "message": deepcopy(message.data),
            "chat_instance": str(chat_id),
            "data": data,
        }
        return world.updates.push("callback_query", payload)


def ask_inline(world: World, user_id: int, query: str, offset: str = "") -> Json:
    """Someone types the bot's name and some words in another chat. Nothing reaches a bot without inline mode."""
    with world.bell.changing():
        query_id = str(5_000_000_000 + len(world.inline_queries))
        payload = {"id": query_id, "from": dict(world.add_user(user_id)), "query": query, "offset": offset}
        if world.inline_mode:
            world.inline_queries[query_id] = None
            return world.updates.push("inline_query", payload | {"chat_type": "supergroup"})
        return {"inline_query": payload}


def allow_inline(world: World, allowed: bool = True) -> None:
    """BotFather's switch for inline mode. A bot learns it from getMe."""
    with world.bell.changing():
        world.inline_mode = allowed


def promote(world: World, chat_id: int, user_id: int) -> None:
    """Someone becomes an administrator of a group."""
    with world.bell.changing():
        world.add_user(user_id)
        world.add_chat(chat_id).admins.add(user_id)


def _data_of(message: Message, button: str) -> str:
    pressable = [entry for row in message.buttons for entry in row if "callback_data" in entry]
    for field in ("callback_data", "text"):
        for entry in pressable:
            if entry[field] == button:
                return str(entry["callback_data"])
    raise bad_request(f"message {message.id} has no button {button!r}")


def delete(world: World, chat_id: int, message_id: int) -> None:
    """Someone deletes a message. Telegram does not tell bots."""
    with world.bell.changing():
        world.delete(*_message(world, chat_id, message_id))


def react(world: World, chat_id: int, message_id: int, emoji: str, user_id: int | None = None) -> Json:
    """Someone puts an emoji on a message, or takes it off with ""."""
    with world.bell.changing():
        chat, message = _message(world, chat_id, message_id)
        user = world.add_user(user_id if user_id is not None else abs(chat_id))
        reaction = [{"type": "emoji", "emoji": emoji}] if emoji else []
        payload = {
            "chat": chat.about(),
            "message_id": message.id,
            "user": dict(user),
            "date": world.now(),
            "old_reaction": [],
            "new_reaction": reaction,
        }
        return world.updates.push("message_reaction", payload)


def block(world: World, chat_id: int, blocked: bool = True) -> Json:
    """A person blocks the bot, or a group throws it out; or the reverse."""
    with world.bell.changing():
        chat = world.add_chat(chat_id)
        reason = "blocked by the user" if chat.type == "private" else f"kicked from the {chat.type} chat"
        chat.forbidden = f"Forbidden: bot was {reason}" if blocked else ""
        gone, there = {"status": "kicked", "until_date": 0}, {"status": "member"}
        payload = {
            "chat": chat.about(),
            "from": dict(world.add_user(abs(chat_id))),
            "date": world.now(),
            "old_chat_member": {"user": dict(world.bot)} | (there if blocked else gone),
            "new_chat_member": {"user": dict(world.bot)} | (gone if blocked else there),
        }
        world.emit("chat", chat, about=chat.as_json())
        return world.updates.push("my_chat_member", payload)


def add_topic(world: World, chat_id: int, name: str) -> int:
    """Someone opens a topic; its number is that of the message that announces it."""
    with world.bell.changing():
        chat = world.add_chat(chat_id, is_forum=True)
        chat.is_forum = True
        thread_id = chat.next_id if chat.next_id > 1 else 2
        content = {
            "forum_topic_created": {"name": name, "icon_color": 7322096},
            "message_thread_id": thread_id,
            "is_topic_message": True,
        }
        world.post(chat, world.add_user(abs(chat_id)), content, message_id=thread_id)
        chat.topics[thread_id] = {"message_thread_id": thread_id, "name": name}
        world.emit("chat", chat, about=chat.as_json())
        return thread_id


def set_topic(world: World, chat_id: int, thread_id: int, closed: bool = False, deleted: bool = False) -> None:
    """Someone closes, opens or deletes a topic."""
    with world.bell.changing():
        chat = world.add_chat(chat_id)
        if thread_id not in chat.topics:
            raise bad_request("message thread not found")
        chat.topics[thread_id] |= {"closed": closed, "deleted": deleted}
        world.emit("chat", chat, about=chat.as_json())


def migrate(world: World, chat_id: int, new_chat_id: int) -> None:
    """A group becomes a supergroup with another number."""
    with world.bell.changing():
        world.add_chat(chat_id, "group").migrated_to = new_chat_id
        world.add_chat(new_chat_id, "supergroup")


def _message(world: World, chat_id: int, message_id: int) -> tuple[Chat, Message]:
    chat = world.find_chat(chat_id)
    message = chat.message(message_id)
    if message is None:
        raise bad_request(f"there is no message {message_id} in chat {chat_id}")
    return chat, message
