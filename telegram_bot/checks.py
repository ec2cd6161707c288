"""Start-up checks for the bot's settings. No secret is ever shown."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.utils.module_loading import import_string

TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{5,64}")
# Telegram refuses every other one.
SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


@register("telegram_bot")
def bot_token(**kwargs: Any) -> list[CheckMessage]:
    """A token with a piece missing is refused only after a round trip, and in words that do not name the cause."""
    if not settings.BOT_TOKEN or TOKEN.fullmatch(settings.BOT_TOKEN):
        return []
    return [
        Error(
            "BOT_TOKEN does not look like a bot token.",
            hint="BotFather gives it in the form 123456789:AAE... (digits, a colon, 35 letters and digits).",
            id="telegram_bot.E001",
        )
    ]


@register("telegram_bot")
def api_address(**kwargs: Any) -> list[CheckMessage]:
    """The token is part of every address that is called."""
    url = settings.TELEGRAM_API_URL
    local = re.match(r"http://(localhost|127\.|\[::1\])", url)
    if url.startswith("https://") or local or not settings.BOT_TOKEN:
        return []
    return [
        Warning(
            "TELEGRAM_API_URL sends the bot token over the network without encryption.",
            hint="Use https, or a Bot API server on this machine.",
            id="telegram_bot.W001",
        )
    ]


@register("telegram_bot")
def webhook_secret(**kwargs: Any) -> list[CheckMessage]:
    if not settings.WEBHOOK_SECRET or SECRET.fullmatch(settings.WEBHOOK_SECRET):
        return []
    return [
        Error(
            "WEBHOOK_SECRET must be 1 to 256 letters, digits, _ and - (A-Z, a-z, 0-9).",
            hint="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
            id="telegram_bot.E002",
        )
    ]


@register("telegram_bot")
def webhook_url(**kwargs: Any) -> list[CheckMessage]:
    """The secret is part of every post, and Telegram itself posts over TLS only. The stand-in is on this machine."""
    if not settings.WEBHOOK_URL:
        return []
    url = urlsplit(settings.WEBHOOK_URL)
    host = url.hostname or ""
    if not host or not (url.scheme == "https" or LOOPBACK.fullmatch(host)):
        return [
            Error(
                "WEBHOOK_URL must be an https address (or http on this machine, for the stand-in).",
                hint="For example https://videos.example.org/telegram/webhook/",
                id="telegram_bot.E003",
            )
        ]
    if not url.path.endswith("/telegram/webhook/"):
        return [
            Warning(
                "WEBHOOK_URL does not end in /telegram/webhook/, where the site takes updates.",
                hint="That is right only where a proxy changes the path.",
                id="telegram_bot.W002",
            )
        ]
    return []


@register("telegram_bot")
def translator(**kwargs: Any) -> list[CheckMessage]:
    """A slip of the pen would show only as questions without a translation."""
    if not settings.TRANSLATOR:
        return []
    try:
        if callable(import_string(settings.TRANSLATOR)):
            return []
        problem = "it is no function"
    except ImportError as error:
        problem = str(error)
    return [
        Error(
            f"TRANSLATOR cannot be used: {problem}",
            hint="The dotted path of a function(text, language code), for example my_translator.to_english",
            id="telegram_bot.E004",
        )
    ]
