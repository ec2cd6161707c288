"""What the bot does with a message: read it, and say what is wanted. application.py says when, decisions.py does it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone
from telegram import ChatMember, Message, Update
from telegram.ext import ApplicationHandlerStop, ContextTypes

from generations import groups, services

from . import delivery, group_admins, texts
from .addressing import answered_of, command_of, is_addressed, person_of, place_of, press_of, prompt_of
from .asking import Ask
from .decisions import AlbumPart, Decisions, GroupOff, Membership, Move, Rewording, Wish
from .edits import Edit
from .job_buttons import job_under

Context = ContextTypes.DEFAULT_TYPE


async def group_door(update: Update, context: Context) -> None:
    """Before all others: whatever is meant for the bot in a group may be switched off there."""
    message = _message(update)
    chat = message.chat
    if person_of(message) is None:
        # Bots are not answered, so they open no door either.
        raise ApplicationHandlerStop
    if not await sync_to_async(groups.takes_prompts)(chat.id, chat.title or ""):
        _want(update, context, GroupOff(chat.id, chat.title or ""))
        raise ApplicationHandlerStop


async def video(update: Update, context: Context) -> None:
    """/video PROMPT: the same as the prompt alone; the way to ask in a group."""
    message = _message(update)
    command = command_of(message, context.bot)
    prompt = command[1] if command else ""
    if prompt.strip():
        _submit(update, context, message, prompt)
    else:
        _want(update, context, texts.video_needs_text())


async def command(update: Update, context: Context) -> None:
    """One about what the person has: commands.py answers it when the prompts before it are accepted."""
    message = _message(update)
    name, words = command_of(message, context.bot) or ("", "")
    person = person_of(message)
    if person is not None:
        _want(update, context, Ask(person, _place(message), name, words, f"update:{update.update_id}"))


async def unknown_command(update: Update, context: Context) -> None:
    """A mistyped command is not a prompt: nobody wants a video of "/strat"."""
    _want(update, context, texts.commands())


async def prompt(update: Update, context: Context) -> None:
    """Any other text, or the caption of a picture: a prompt, passed on unchanged."""
    message = _message(update)
    if is_addressed(message, context.bot):
        _submit(update, context, message, prompt_of(message, context.bot))


async def no_text(update: Update, context: Context) -> None:
    """A sticker, a voice message, a picture without words. Of an album one part is answered."""
    message = _message(update)
    album = message.media_group_id
    _want(update, context, AlbumPart(str(message.chat.id), album) if album else texts.send_text())


async def edited(update: Update, context: Context) -> None:
    """Perhaps of a prompt: then it is explained."""
    message: Any = update.edited_message
    person, command = person_of(message), command_of(message, context.bot)
    if person is not None and (command[0] == "video" if command else is_addressed(message, context.bot)):
        words = message.text or message.caption or ""
        _want(update, context, Edit(person, _place(message), words, update.update_id))


async def pressed(update: Update, context: Context) -> None:
    """A button under one of the bot's messages."""
    assert update.callback_query is not None, "the handler in application.py takes nothing else"
    press = press_of(update.callback_query)
    if press is not None:
        press = await group_admins.for_their_group(press, context.bot, context.bot_data)
        Decisions.of(context.bot_data).add(update.update_id, press)


async def group_moved(update: Update, context: Context) -> None:
    """A group became a supergroup: what is on its way there needs the new id."""
    message = _message(update)
    if message.migrate_to_chat_id is not None:
        _want(update, context, Move(message.chat.id, message.migrate_to_chat_id))


async def membership(update: Update, context: Context) -> None:
    """A group has taken the bot in, or thrown it out. A private chat that blocks it is noticed at the next message."""
    change = update.my_chat_member
    assert change is not None, "the handler in application.py takes nothing else"
    if change.chat.type in {"group", "supergroup"}:
        there = change.new_chat_member.status not in {ChatMember.LEFT, ChatMember.BANNED}
        wish = Membership(change.chat.id, change.chat.title or "", there)
        Decisions.of(context.bot_data).add(update.update_id, wish)


def _submit(update: Update, context: Context, message: Message, text: str) -> None:
    person = person_of(message)
    if person is None:
        return
    title = message.chat.title or ""
    key = f"update:{update.update_id}"
    request = services.Request(person, text, key, _place(message), group=title, may_ask=True)
    answered = answered_of(message, context.bot)
    if answered is None:
        _want(update, context, request)
    else:
        _want(update, context, Rewording(request, answered.message_id, job_under(answered.reply_markup)))


def _place(message: Message) -> services.Place:
    """Where the answer goes. A result waits for the announcement of its job."""
    return replace(place_of(message), deliver_after=timezone.now() + delivery.ANNOUNCEMENT)


def _want(update: Update, context: Context, wish: Wish) -> None:
    if update.effective_message is not None:
        Decisions.of(context.bot_data).add(update.update_id, wish)


def _message(update: Update) -> Message:
    message: Any = update.message
    assert isinstance(message, Message), "the filters in application.py let only messages through"
    return message
