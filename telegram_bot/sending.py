"""One message to one place, in spite of what may have become of the topic, the prompt, or the chat's id."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from telegram import Message, ReplyParameters
from telegram.error import TelegramError

from generations import services

from .errors import Next, Verdict, sort

logger = logging.getLogger(__name__)

# Timeouts of a call that takes a file along.
UPLOAD: dict[str, Any] = {"read_timeout": 120.0, "write_timeout": 120.0}


@dataclass(frozen=True)
class Target:
    chat_id: int
    thread_id: int | None = None
    reply_to: int | None = None

    def arguments(self) -> dict[str, Any]:
        """For any of PTB's send methods."""
        reply = None
        if self.reply_to is not None:
            reply = ReplyParameters(self.reply_to, allow_sending_without_reply=True)
        return {"chat_id": self.chat_id, "message_thread_id": self.thread_id, "reply_parameters": reply}


async def send(target: Target, call: Callable[[Target], Awaitable[Message]]) -> Message:
    """Make the call; where Telegram says that only the place was wrong, once more to the place that remains.

    Such an answer proves that nothing was sent. Every other error is raised for the caller to judge.
    """
    while True:
        try:
            return await call(target)
        except TelegramError as error:
            verdict = sort(error)
            elsewhere = target
            if verdict.next is Next.MOVED and verdict.chat_id is not None:
                await sync_to_async(services.chat_moved)(target.chat_id, verdict.chat_id)
                elsewhere = Target(verdict.chat_id)
            elif verdict.next is Next.NO_THREAD:
                # A reply would follow its message into the topic.
                elsewhere = Target(target.chat_id)
            elif verdict.next is Next.NO_REPLY:
                elsewhere = replace(target, reply_to=None)
            if elsewhere == target:
                raise
            logger.info("Chat %s: %s; sent to what remains of the place.", target.chat_id, verdict.reason)
            target = elsewhere


async def chat_lost(chat_id: int, verdict: Verdict, *, since: datetime) -> None:
    """Nothing more is made for a chat that nobody can be reached in. since: when the call began that said so."""
    reason = f"the chat cannot be reached: {verdict.reason}"
    stopped = await sync_to_async(services.chat_unreachable)(chat_id, by="bot", reason=reason, since=since)
    if stopped:
        logger.warning("Chat %s cannot be reached; %s other results or prompts are dropped.", chat_id, stopped)
