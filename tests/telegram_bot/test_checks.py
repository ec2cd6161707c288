"""Wrong settings are named before anything starts, and the token is not shown."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from telegram_bot.checks import api_address, bot_token, translator, webhook_secret, webhook_url


@pytest.mark.parametrize("token", ["nonsense", "123456:", "123 456:AAEabcdefghijk", "123456:AAE\nabcdefgh", ":AAEabc"])
def test_a_broken_token_is_named_but_not_repeated(settings: LazySettings, token: str) -> None:
    settings.BOT_TOKEN = token
    [error] = bot_token()
    assert error.id == "telegram_bot.E001"
    assert error.hint
    assert token not in f"{error.msg} {error.hint}"


@pytest.mark.parametrize("token", ["", "123456789:AAEhBP0av28-_frNZ4SWTdp9mzvhyxh0abc", "1000001:SIMULATOR"])
def test_a_good_token_or_none_passes(settings: LazySettings, token: str) -> None:
    settings.BOT_TOKEN = token
    assert bot_token() == []


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("https://api.telegram.org", []),
        ("http://127.0.0.1:8081", []),
        ("http://localhost:8081", []),
        ("http://api.example.org", ["telegram_bot.W001"]),
    ],
)
def test_a_token_in_the_clear_is_warned_of(settings: LazySettings, url: str, ids: list[str]) -> None:
    settings.BOT_TOKEN, settings.TELEGRAM_API_URL = "1000001:SIMULATOR", url
    assert [warning.id for warning in api_address()] == ids


@pytest.mark.parametrize("secret", ["with a space", "x" * 257, "pässword", "a:b", "a\n"])
def test_a_secret_that_telegram_would_refuse_is_named_but_not_repeated(settings: LazySettings, secret: str) -> None:
    settings.WEBHOOK_SECRET = secret
    [error] = webhook_secret()
    assert error.id == "telegram_bot.E002"
    assert secret not in f"{error.msg} {error.hint}"


@pytest.mark.parametrize("secret", ["", "a", "x" * 256, "Az09_-"])
def test_a_good_secret_or_none_passes(settings: LazySettings, secret: str) -> None:
    settings.WEBHOOK_SECRET = secret
    assert webhook_secret() == []


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("", []),
        ("https://videos.example.org/telegram/webhook/", []),
        ("https://videos.example.org:8443/telegram/webhook/", []),
        ("http://127.0.0.1:8000/telegram/webhook/", []),
        ("http://localhost:8000/telegram/webhook/", []),
        ("http://[::1]:8000/telegram/webhook/", []),
        ("http://videos.example.org/telegram/webhook/", ["telegram_bot.E003"]),
        ("http://localhost.example.org/telegram/webhook/", ["telegram_bot.E003"]),
        ("http://127.example.org/telegram/webhook/", ["telegram_bot.E003"]),
        ("https:///telegram/webhook/", ["telegram_bot.E003"]),
        ("https://videos.example.org", ["telegram_bot.W002"]),
        ("https://videos.example.org/telegram/webhook", ["telegram_bot.W002"]),
    ],
)
def test_an_address_to_which_telegram_would_not_or_must_not_post_is_named(
    settings: LazySettings, url: str, ids: list[str]
) -> None:
    settings.WEBHOOK_URL = url
    assert [problem.id for problem in webhook_url()] == ids


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("", []),
        ("tests.translators.good", []),
        ("tests.translators.missing", ["telegram_bot.E004"]),
        ("tests.translators.asked", ["telegram_bot.E004"]),
        ("nonsense", ["telegram_bot.E004"]),
    ],
)
def test_a_translator_that_is_not_there_is_named_at_start(settings: LazySettings, path: str, ids: list[str]) -> None:
    settings.TRANSLATOR = path
    assert [error.id for error in translator()] == ids
