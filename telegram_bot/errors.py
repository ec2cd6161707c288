"""Telegram's errors, sorted in one place by what we do next.

Only three kinds may be sent again by themselves: what was provably not carried out (NOT_SENT, WAIT), and edits, which
may be repeated. Everything that may have arrived is UNKNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)


class Next(Enum):
    WAIT = auto()  # 429: this chat rests, the others do not
    NOT_SENT = auto()  # it never left this machine: repeat after a while
    UNKNOWN = auto()  # it may have been carried out: repeat edits only
    DONE = auto()  # it is already as we want it
    MOVED = auto()  # the group has a new id: repeat there
    NO_THREAD = auto()  # the topic is closed or gone: repeat in the chat itself
    NO_REPLY = auto()  # the message we answer is gone: repeat without the link
    GONE = auto()  # the message cannot be edited: send a new one
    NO_TEXT = auto()  # it holds a video by now: words cannot be edited in
    TOO_LARGE = auto()  # the file can never be sent: say so
    REFUSED = auto()  # Telegram dislikes the content: say that it cannot be sent
    UNREACHABLE = auto()  # nobody in this chat hears the bot: drop all that is meant for it
    GIVE_UP = auto()  # this cannot be sent here, perhaps something else or later can
    STOP = auto()  # the token is not valid: the whole bot stops


@dataclass(frozen=True)
class Verdict:
    next: Next
    reason: str
    wait: float = 0
    chat_id: int | None = None


# Telegram's words for one condition vary, and they are all there is to go by. Lower case, first match counts.
BAD_REQUESTS = [
    ("message is not modified", Next.DONE),
    ("message thread not found", Next.NO_THREAD),
    ("topic_closed", Next.NO_THREAD),
    ("topic_deleted", Next.NO_THREAD),
    ("message to be replied not found", Next.NO_REPLY),
    ("replied message not found", Next.NO_REPLY),
    ("reply message not found", Next.NO_REPLY),
    ("message to edit not found", Next.GONE),
    ("message can't be edited", Next.GONE),
    ("message_id_invalid", Next.GONE),
    ("message to delete not found", Next.GONE),
    ("no text in the message to edit", Next.NO_TEXT),
    ("file is too big", Next.TOO_LARGE),
    ("chat not found", Next.UNREACHABLE),
    ("user not found", Next.UNREACHABLE),
    ("peer_id_invalid", Next.UNREACHABLE),
    ("user is deactivated", Next.UNREACHABLE),
    ("group chat was deactivated", Next.UNREACHABLE),
    ("chat_write_forbidden", Next.GIVE_UP),
    ("not enough rights to send text messages", Next.GIVE_UP),
    ("need administrator rights in the channel chat", Next.GIVE_UP),
    ("have no rights to send a message", Next.GIVE_UP),
]
# The reasons of a 403 that no later call can change; others (a missing right) may pass.
FORBIDDEN = [
    "bot was blocked",
    "bot was kicked",
    "bot is not a member",
    "user is deactivated",
    "group chat was deleted",
    "bot can't initiate conversation",
    "bot can't send messages to bots",
]
# The request did not reach Telegram: no connection, or none free in our own pool.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
# Telegram always says how long to wait; a proxy in between may not.
UNTOLD_WAIT = 5.0


def sort(error: TelegramError) -> Verdict:
    """What to do about an error. The reason is for the operator and holds no secret: Telegram's words only."""
    reason = error.message or type(error).__name__
    words = reason.lower()
    match error:
        case RetryAfter():
            return Verdict(Next.WAIT, reason, wait=wait_of(error))
        case Forbidden():
            lost = any(part in words for part in FORBIDDEN)
            return Verdict(Next.UNREACHABLE if lost else Next.GIVE_UP, reason)
        case ChatMigrated():
            return Verdict(Next.MOVED, reason, chat_id=error.new_chat_id)
        case InvalidToken() | EndPointNotFound():
            # PTB's own message may repeat the token.
            return Verdict(Next.STOP, "Telegram does not accept the bot token")
        case BadRequest():
            known = (step for part, step in BAD_REQUESTS if part in words)
            return Verdict(next(known, Next.REFUSED), reason)
    if isinstance(error.__cause__, UNSENT):
        return Verdict(Next.NOT_SENT, reason)
    if "entity too large" in words:
        return Verdict(Next.TOO_LARGE, reason)
    if words.startswith("too many requests"):
        return Verdict(Next.WAIT, reason, wait=UNTOLD_WAIT)
    return Verdict(Next.UNKNOWN, reason)


def wait_of(error: RetryAfter) -> float:
    """Seconds. The attribute's type depends on the environment until PTB 23."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
