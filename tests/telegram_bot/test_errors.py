"""Telegram's errors, by what the bot does next."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from telegram.error import (
    BadRequest,
    ChatMigrated,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from telegram_bot.errors import Next, Verdict, sort


def caused_by(error: TelegramError, cause: Exception) -> TelegramError:
    error.__cause__ = cause
    return error


REQUEST = httpx.Request("POST", "http://x")


@pytest.mark.parametrize(
    ("error", "next_step"),
    [
        (Forbidden("Forbidden: bot was kicked from the group chat"), Next.UNREACHABLE),
        (Forbidden("Forbidden: bot was blocked by the user"), Next.UNREACHABLE),
        (Forbidden("Forbidden: user is deactivated"), Next.UNREACHABLE),
        (Forbidden("Forbidden: bot is not a member of the channel chat"), Next.UNREACHABLE),
        (Forbidden("Forbidden: the group chat was deleted"), Next.UNREACHABLE),
        (Forbidden("Forbidden: not enough rights to send videos to the chat"), Next.GIVE_UP),
        (BadRequest("Message is not modified: specified new message content"), Next.DONE),
        (BadRequest("Message thread not found"), Next.NO_THREAD),
        (BadRequest("Topic_closed"), Next.NO_THREAD),
        (BadRequest("Message to be replied not found"), Next.NO_REPLY),
        (BadRequest("Message to edit not found"), Next.GONE),
        (BadRequest("Message can't be edited"), Next.GONE),
        (BadRequest("There is no text in the message to edit"), Next.NO_TEXT),
        (BadRequest("Chat not found"), Next.UNREACHABLE),
        (BadRequest("Not enough rights to send text messages to the chat"), Next.GIVE_UP),
        (BadRequest("File is too big"), Next.TOO_LARGE),
        (BadRequest("Something new"), Next.REFUSED),
        (NetworkError("Request Entity Too Large"), Next.TOO_LARGE),
        (NetworkError("Bad Gateway"), Next.UNKNOWN),
        (NetworkError("Too Many Requests"), Next.WAIT),
        (TimedOut(), Next.UNKNOWN),
        (TelegramError("Invalid server response"), Next.UNKNOWN),
        (caused_by(TimedOut(), httpx.ReadTimeout("", request=REQUEST)), Next.UNKNOWN),
        (caused_by(TimedOut(), httpx.WriteTimeout("", request=REQUEST)), Next.UNKNOWN),
        (caused_by(NetworkError("x"), httpx.RemoteProtocolError("", request=REQUEST)), Next.UNKNOWN),
        (caused_by(TimedOut(), httpx.ConnectTimeout("", request=REQUEST)), Next.NOT_SENT),
        (caused_by(TimedOut(), httpx.PoolTimeout("", request=REQUEST)), Next.NOT_SENT),
        (caused_by(NetworkError("x"), httpx.ConnectError("", request=REQUEST)), Next.NOT_SENT),
        (InvalidToken("The token `1:secret` was rejected by the server."), Next.STOP),
        (EndPointNotFound("x"), Next.STOP),
    ],
    ids=str,
)
def test_each_error_has_one_next_step(error: TelegramError, next_step: Next) -> None:
    verdict = sort(error)
    assert verdict.next is next_step
    assert "secret" not in verdict.reason


def test_a_flood_wait_carries_its_seconds() -> None:
    verdict = sort(RetryAfter(timedelta(seconds=37)))
    assert (verdict.next, verdict.wait) == (Next.WAIT, 37)


def test_a_moved_group_carries_its_new_id() -> None:
    assert sort(ChatMigrated(-1005)) == Verdict(
        Next.MOVED, "Group migrated to supergroup. New chat id: -1005", chat_id=-1005
    )
