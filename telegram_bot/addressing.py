"""Reads a message: is it meant for the bot, what does it ask for, who asks, and where does the answer go. No I/O."""

from __future__ import annotations

import re
from typing import Any

from telegram import Bot, CallbackQuery, Message, MessageEntity, Update, User
from telegram.ext import filters

from generations.services import Person, Place

from .buttons import Press

# Telegram marks commands itself; reading them from the text also works where nobody did.
COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?=\s|$)")
# The topic "General" has this number and does not want to hear it.
GENERAL_TOPIC = 1
# What is needed of a message to answer it.
ESSENTIAL = ("message_id", "date", "chat", "from", "text", "caption")
# Fields of what Telegram says in somebody's name: that wants no answer. PTB names its filters after most of them.
SERVICE_FIELDS = frozenset(
    {name.lower() for name in vars(filters.StatusUpdate) if name.isupper()}
    | {"group_chat_created", "supergroup_chat_created", "channel_chat_created"}
    | {"migrate_to_chat_id", "migrate_from_chat_id"}
)


def read_update(payload: dict[str, Any], bot: Bot) -> Update:
    """PTB's objects. A message with a part that PTB cannot read is read without it: it still wants an answer.

    Raises whatever PTB raises where there is nothing to answer.
    """
    try:
        update = Update.de_json(payload, bot)
    except Exception:
        message = payload["message"]
        if SERVICE_FIELDS & message.keys():
            raise
        plain = {name: message[name] for name in ESSENTIAL if name in message}
        update = Update.de_json({"update_id": payload["update_id"], "message": plain}, bot)
    if update.message is not None and update.message.chat is None:
        raise ValueError("a message without a chat")
    return update


def is_private(message: Message) -> bool:
    return message.chat.type == "private"


def command_of(message: Message, bot: Bot) -> tuple[str, str] | None:
    """The command and the text behind it; None when there is none, or it is another bot's in a group."""
    found = COMMAND.match(message.text or "")
    if found is None:
        return None
    if found[2] and found[2].lower() != bot.username.lower() and not is_private(message):
        return None
    # One space or line break parts them; all the rest is the person's.
    return found[1].lower(), (message.text or "")[found.end() + 1 :]


def is_addressed(message: Message, bot: Bot) -> bool:
    """In private every message is; elsewhere a mention of the bot or a reply to it."""
    if is_private(message):
        return True
    return answered_of(message, bot) is not None or bool(_mentions(message, bot))


def answered_of(message: Message, bot: Bot) -> Message | None:
    """The bot's message that this one answers, if it does."""
    reply = message.reply_to_message
    if reply is None or reply.from_user is None or reply.from_user.id != bot.id:
        return None
    # Every message of a topic counts as a reply to the note that opened it.
    return None if reply.forum_topic_created is not None else reply


def prompt_of(message: Message, bot: Bot) -> str:
    """What the person typed, unchanged; in a group without the mention of the bot."""
    text = message.text or message.caption or ""
    if is_private(message):
        return text
    units = text.encode("utf-16-le", "surrogatepass")
    for entity in sorted(_mentions(message, bot), key=lambda entity: entity.offset, reverse=True):
        start, end = 2 * entity.offset, 2 * (entity.offset + entity.length)
        before, after = units[:start], units[end:]
        # "make @bot dance" keeps one space between its words.
        space = " ".encode("utf-16-le")
        if after.startswith(space) and (not before or before.endswith(space)):
            after = after[2:]
        units = before + after
    return units.decode("utf-16-le", "surrogatepass").strip() if _mentions(message, bot) else text


def person_of(message: Message) -> Person | None:
    """Who wrote it: a person, or a chat that writes under its own name. None for other bots and for nobody."""
    if message.sender_chat is not None:
        chat = message.sender_chat
        return Person(user_id=chat.id, display_name=chat.title or "", username=chat.username or "")
    user = message.from_user
    if user is None or user.is_bot:
        return None
    return _as_person(user)


def press_of(query: CallbackQuery) -> Press | None:
    """Which button was pressed, and by whom. None for a message of another chat, which came out of inline mode."""
    if query.message is None:
        return None
    action, *arguments = (query.data or "").split(":")
    return Press(
        person=_as_person(query.from_user),
        action=action,
        arguments=tuple(arguments),
        chat_id=query.message.chat.id,
        message_id=query.message.message_id,
        query_id=query.id,
    )


def _as_person(user: User) -> Person:
    return Person(
        user_id=user.id,
        display_name=f"{user.first_name} {user.last_name or ''}".strip(),
        username=user.username or "",
        language_code=user.language_code or "",
    )


def answer_place(update: Update) -> Place:
    """Where the answer to it goes. Of an old message with a button only its number is left."""
    query = update.callback_query
    if query is not None and query.message is not None and not isinstance(query.message, Message):
        return Place(chat_id=query.message.chat.id, prompt_message_id=query.message.message_id)
    message = update.effective_message
    assert message is not None, "only a message or a button under one is answered"
    return place_of(message)


def place_of(message: Message) -> Place:
    """The same chat, the same topic, as a reply."""
    return Place(chat_id=message.chat.id, thread_id=thread_of(message), prompt_message_id=message.message_id)


def thread_of(message: Message) -> int | None:
    """The topic. A plain reply carries a thread number too, but that is none; see GENERAL_TOPIC."""
    thread = message.message_thread_id
    return thread if message.is_topic_message and thread != GENERAL_TOPIC else None


def _mentions(message: Message, bot: Bot) -> list[MessageEntity]:
    text = message.text or message.caption or ""
    units = text.encode("utf-16-le", "surrogatepass")
    name = f"@{bot.username}".lower()

    def ours(entity: MessageEntity) -> bool:
        if entity.type == MessageEntity.TEXT_MENTION:
            return entity.user is not None and entity.user.id == bot.id
        words = units[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le", "replace")
        return entity.type == MessageEntity.MENTION and words.lower() == name

    return [entity for entity in (message.entities or message.caption_entities or ()) if ours(entity)]
