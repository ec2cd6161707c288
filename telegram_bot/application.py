"""The bot's handlers, in reading order: the first one that fits a message answers it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from telegram import Bot, Message
from telegram.ext import Application, CallbackQueryHandler, ChatMemberHandler, MessageHandler, filters

from . import handlers
from .addressing import command_of, is_addressed, is_private
from .commands import COMMANDS, FOR_OPERATORS
from .consumer import App, report_failure
from .limiter import FloodLimiter


class ViaThisBot(filters.MessageFilter):
    """One of our own clips, chosen in inline mode: its caption is no new prompt."""

    def filter(self, message: Message) -> bool:
        return message.via_bot is not None and message.via_bot.id == message.get_bot().id


MESSAGE = filters.UpdateType.MESSAGE & ~ViaThisBot()
PRIVATE = filters.ChatType.PRIVATE
WORDS = filters.TEXT | filters.CAPTION
# What Telegram says in somebody's name: nobody wrote it, and nobody waits for an answer.
SERVICE = filters.StatusUpdate.ALL | filters.SUCCESSFUL_PAYMENT | filters.BOOST_ADDED | filters.PASSPORT_DATA


class Command(filters.MessageFilter):
    """One of these commands, or with no names any command, given to this bot."""

    def __init__(self, *names: str) -> None:
        super().__init__(name=f"Command{names}")
        self.names = names

    def filter(self, message: Message) -> bool:
        bot: Bot = message.get_bot()
        command = command_of(message, bot)
        return command is not None and (not self.names or command[0] in self.names)


class Addressed(filters.MessageFilter):
    """A mention of the bot, or an answer to it."""

    def filter(self, message: Message) -> bool:
        bot: Bot = message.get_bot()
        return is_addressed(message, bot)


class ForAnother(filters.MessageFilter):
    """A group's command for nobody we know: not a prompt, even as a reply to the bot."""

    def filter(self, message: Message) -> bool:
        return not is_private(message) and (message.text or "").startswith("/")


def build(token: str = "", *, limiter: FloodLimiter | None = None) -> App:
    """The application with all its handlers. Nothing is sent before `initialize()`."""
    application = (
        Application.builder()
        .token(token or settings.BOT_TOKEN)
        .base_url(f"{settings.TELEGRAM_API_URL}/bot")
        .base_file_url(f"{settings.TELEGRAM_API_URL}/file/bot")
        # Updates come from our own inbox: PTB's updater confirms them while they are in memory only.
        .updater(None)
        .job_queue(None)
        .rate_limiter(limiter or FloodLimiter())
        # Long enough that a slow answer is not taken for a lost one.
        .connect_timeout(10)
        .read_timeout(30)
        .write_timeout(30)
        .media_write_timeout(120)
        .pool_timeout(10)
        .get_updates_connect_timeout(10)
        .get_updates_pool_timeout(10)
        .build()
    )
    return add_handlers(application)


def add_handlers(application: App) -> App:
    """All of them, on any application: a test may bring its own."""
    add: Any = application.add_handler
    # Operators look after the bot wherever they are.
    ours = Command("start", "hello", "video", *(COMMANDS.keys() - FOR_OPERATORS))
    spoken_to = MESSAGE & filters.ChatType.GROUPS & (ours | (WORDS & ~ForAnother() & Addressed()))
    add(MessageHandler(spoken_to, handlers.group_door), group=-1)
    add(MessageHandler(MESSAGE & filters.StatusUpdate.MIGRATE, handlers.group_moved))
    add(MessageHandler(MESSAGE & Command("video"), handlers.video))
    add(MessageHandler(MESSAGE & Command(*COMMANDS), handlers.command))
    add(MessageHandler(MESSAGE & PRIVATE & Command(), handlers.unknown_command))
    add(MessageHandler(MESSAGE & WORDS & ~ForAnother(), handlers.prompt))
    add(MessageHandler(MESSAGE & PRIVATE & ~SERVICE, handlers.no_text))
    add(MessageHandler(filters.UpdateType.EDITED_MESSAGE & WORDS, handlers.edited))
    add(CallbackQueryHandler(handlers.pressed))
    add(ChatMemberHandler(handlers.membership, ChatMemberHandler.MY_CHAT_MEMBER))
    # Inline queries: consumer.py, because they are not kept.
    # Everything else gets no answer: channel posts, service messages, votes, other bots' commands.
    application.add_error_handler(report_failure)
    return application
