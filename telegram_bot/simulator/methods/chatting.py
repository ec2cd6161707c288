"""Methods about a chat that make no message: actions, toasts, deletions, reactions."""

from __future__ import annotations

from typing import Literal

from ..entities import utf16_length
from ..errors import Json, bad_request
from ..limits import CHAT_ACTIONS, MAX_CALLBACK_ANSWER
from ..params import Params
from ..world import World
from .common import target

# Deleting is possible for two days.
DELETE_WINDOW = 48 * 3600
# The emoji a bot may react with (the common ones of Telegram's list).
REACTIONS = set(
    "👍👎❤🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡🥱🥴😍🐳🌚🌭💯🤣⚡🍌🏆💔"
    "🤨😐🍓🍾💋😈😴😭🤓👻👀🎃🙈😇😨🤝🤗🫡🎅🎄💅🤪🗿🆒💘🙉🦄😘💊🙊😎👾😡"
)


def send_chat_action(world: World, params: Params) -> Literal[True]:
    """sendChatAction"""
    chat = target(world, params)
    action = params.text("action")
    if action not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat.topic_for(params.integer("message_thread_id"), None)
    world.emit("action", chat, action=action)
    return True


def answer_callback_query(world: World, params: Params) -> Literal[True]:
    """answerCallbackQuery"""
    if utf16_length(params.text("text")) > MAX_CALLBACK_ANSWER:
        raise bad_request("MESSAGE_TOO_LONG")
    answer = {"text": params.text("text"), "show_alert": params.flag("show_alert"), "url": params.text("url")}
    world.answer(params.text("callback_query_id"), answer)
    return True


def _delete(world: World, params: Params, message_id: int) -> None:
    chat = target(world, params)
    message = chat.message(message_id)
    if message is None:
        raise bad_request("message to delete not found")
    if world.now() - int(message.data["date"]) > DELETE_WINDOW:
        raise bad_request("message can't be deleted for everyone")
    world.delete(chat, message)


def delete_message(world: World, params: Params) -> Literal[True]:
    """deleteMessage"""
    _delete(world, params, params.integer("message_id"))
    return True


def delete_messages(world: World, params: Params) -> Literal[True]:
    """deleteMessages: those that are gone already are skipped"""
    chat = target(world, params)
    for message_id in params.array("message_ids") or []:
        if isinstance(message_id, int) and chat.message(message_id) is not None:
            _delete(world, params, message_id)
    return True


def set_message_reaction(world: World, params: Params) -> Literal[True]:
    """setMessageReaction: one emoji, or none to take it back"""
    chat = target(world, params)
    message = chat.message(params.integer("message_id"))
    if message is None:
        raise bad_request("message to react not found")
    reactions = params.objects("reaction")
    if len(reactions) > 1:
        raise bad_request("REACTIONS_TOO_MANY")
    for reaction in reactions:
        if reaction.get("type") != "emoji" or str(reaction.get("emoji")).rstrip("\ufe0f") not in REACTIONS:
            raise bad_request("REACTION_INVALID")
    message.reactions = reactions
    world.emit("message", chat, entry=message.as_json())
    return True


def get_chat(world: World, params: Params) -> Json:
    """getChat"""
    chat = world.find_chat(params.values.get("chat_id"))
    gifts = dict.fromkeys(
        ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
    )
    return chat.about() | {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": gifts}


def get_chat_member(world: World, params: Params) -> Json:
    """getChatMember"""
    chat = world.find_chat(params.values.get("chat_id"))
    user_id = params.integer("user_id")
    if user_id == world.bot["id"]:
        return {"status": "kicked" if chat.forbidden else "member", "user": world.bot}
    if user_id not in world.users:
        raise bad_request("PARTICIPANT_ID_INVALID")
    if user_id in chat.admins:
        return _administrator(world, user_id)
    return {"status": "member", "user": world.users[user_id]}


def get_chat_administrators(world: World, params: Params) -> list[Json]:
    """getChatAdministrators"""
    chat = target(world, params)
    if chat.type == "private":
        raise bad_request("there are no administrators in the private chat")
    return [_administrator(world, user_id) for user_id in sorted(chat.admins)]


def _administrator(world: World, user_id: int) -> Json:
    rights = dict.fromkeys(
        (
            "can_be_edited",
            "is_anonymous",
            "can_manage_chat",
            "can_delete_messages",
            "can_manage_video_chats",
            "can_restrict_members",
            "can_promote_members",
            "can_change_info",
            "can_invite_users",
            "can_post_stories",
            "can_edit_stories",
            "can_delete_stories",
        ),
        True,
    )
    return {"status": "administrator", "user": world.users[user_id], **rights}


METHODS = {
    "sendChatAction": send_chat_action,
    "answerCallbackQuery": answer_callback_query,
    "deleteMessage": delete_message,
    "deleteMessages": delete_messages,
    "setMessageReaction": set_message_reaction,
    "getChat": get_chat,
    "getChatMember": get_chat_member,
    "getChatAdministrators": get_chat_administrators,
}
