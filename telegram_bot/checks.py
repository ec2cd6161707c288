"""Start-up checks for the bot's settings. The token itself is never shown."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{5,64}")


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
