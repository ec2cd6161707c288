"""Every text in every language, with little and with much to say: it is translated, and Telegram takes it."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
from django.conf import settings
from telegram.constants import BotCommandLimit, CallbackQueryLimit, MessageLimit

from generations import batch, rendering
from generations.engine.base import NOT_AVAILABLE, EngineError
from generations.engine.card import PROBLEMS, InvalidSpec
from generations.engine.modelscope.pipeline import BROKEN, NO_LONGER, TOO_BIG
from generations.engine.video import NOT_SAVED, NOTHING_TO_SAVE
from generations.limits import LimitReached, Usage
from generations.models import DEFAULT_GREETING, Generation
from generations.overview import Outcomes, Overview, Worker
from generations.prompts import PromptRefused
from telegram_bot import languages, menus, texts
from telegram_bot.captions import utf16_length
from telegram_bot.delivery.parcel import caption

OTHERS = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
LANGUAGES = [settings.LANGUAGE_CODE, *OTHERS]
# A longer label is cut off on a phone.
BUTTON_UNITS = 40
TOAST_UNITS = CallbackQueryLimit.ANSWER_CALLBACK_QUERY_TEXT_LENGTH
LINE = "Ж" * 60
MONTH = datetime(2026, 11, 26, 23, 59, tzinfo=UTC) + timedelta(days=30)
# What types do not say, by the function and its argument.
ARGUMENTS: dict[tuple[str, str], tuple[Any, Any]] = {
    ("command", "name"): ("start", "delete_me"),
    ("greeting", "words"): (DEFAULT_GREETING, DEFAULT_GREETING),
    ("for_several", "messages"): (2, 2**31 - 1),
    ("settings", "lines"): ([("x", "y", True)], [(LINE, LINE, False)] * 3),
    ("standing", "lines"): ([("x", "y")], [(LINE, LINE)] * 5),
    ("invitation_unusable", "why"): ("unknown", "used up"),
    ("ops", "alerts"): ([], [(LINE * 3, MONTH)] * 6),
    ("ops", "seen"): (
        Overview(MONTH, 0, 0, 0, [], True, Outcomes(0, 0), None, False),
        Overview(MONTH, 1, 1, 1, [Worker(LINE, [(10**6, 50)] * 4)] * 20, False, Outcomes(10**6, 10**6), 10**12, True),
    ),
    ("alert", "kind"): ("redis", "disk"),
    ("alert", "state"): ("unreachable", "low"),
    ("alert", "facts"): ({}, {"free": 10**9, "least": 10**7}),
}
# What types allow: little, and much.
VALUES: dict[Any, tuple[Any, Any]] = {
    str: ("", LINE),
    int: (1, 2**31 - 1),
    float: (1.0, 12345.6),
    bool: (False, True),
    datetime: (MONTH, MONTH),
    timedelta: (timedelta(minutes=1), timedelta(days=30)),
    LimitReached: (LimitReached("daily", limit=1), LimitReached("daily", limit=10**6, retry_at=MONTH)),
    Usage: (Usage(0, 0, MONTH), Usage(10**6, 10**6, MONTH)),
    InvalidSpec: (InvalidSpec("seed", "missing"), InvalidSpec("seed", "setting")),
    Exception: (PromptRefused("empty", ""), PromptRefused("too_long", "")),
}
RULES = (
    *("banned", "daily", "waiting", "queue", "storage", "paused"),
    *("closed", "blocked", "hourly"),
    *("invite", "ask", "terms", "group_off", "group_daily", "asked", "another"),
)
# They say what they were given, or only numbers with a unit.
WITHOUT_WORDS = {"alert_begins", "chosen", "clock", "day", "duration", "either", "failed", "seconds", "space"}
FUNCTIONS = {
    name: function
    for name, function in inspect.getmembers(texts, inspect.isfunction)
    if function.__module__.startswith(texts.__name__) and not name.startswith("_")
}


def arguments(name: str, size: int) -> dict[str, Any]:
    kinds = typing.get_type_hints(FUNCTIONS[name])
    kinds.pop("return")
    return {
        each: ARGUMENTS[name, each][size] if (name, each) in ARGUMENTS else value(kind, size)
        for each, kind in kinds.items()
    }


def value(kind: Any, size: int) -> Any:
    inner = typing.get_args(kind)
    if NoneType in inner:
        return value(inner[0], 1) if size else None
    if typing.get_origin(kind) is not None:
        return [value(inner[0], size)] * (1 + 5 * size)
    return VALUES[kind][size]


def told(language: str, say: Callable[..., str], *values: Any, **more: Any) -> str:
    with languages.speaking(language):
        return say(*values, **more)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_text_is_translated_and_short_enough(name: str) -> None:
    for size in (0, 1):
        given = arguments(name, size)
        english = told("en", FUNCTIONS[name], **given)
        for language in LANGUAGES:
            words = told(language, FUNCTIONS[name], **given)
            assert "%(" not in words
            most = BUTTON_UNITS if name.startswith("button_") else MessageLimit.MAX_TEXT_LENGTH
            assert utf16_length(words) <= most
            if language != "en" and english and name not in WITHOUT_WORDS:
                assert words != english, f"not in {language}"


@pytest.mark.parametrize("language", OTHERS)
def test_every_refusal_is_translated(language: str) -> None:
    facts = dict.fromkeys(("low", "high", "value", "multiple", "most", "other", "suggestion"), "1")
    refusals: list[Exception] = [
        *(PromptRefused(rule, "") for rule in ("empty", "too_long", "only_flags")),
        *(InvalidSpec("seed", problem, choices=("a", "b"), **facts) for problem in PROBLEMS),
        *(LimitReached(rule, limit=5) for rule in RULES),
        EngineError("", public_reason=NOT_AVAILABLE),
    ]
    for refusal in refusals:
        assert told(language, texts.refusal, refusal) != told("en", texts.refusal, refusal)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize(
    "reason",
    [
        *(NOT_AVAILABLE, BROKEN, TOO_BIG, NO_LONGER, NOT_SAVED, NOTHING_TO_SAVE),
        *(rendering.GENERAL_REASON, rendering.TOO_SLOW, batch.PUT_BACK),
    ],
)
def test_what_a_worker_wrote_is_told_in_the_persons_language(language: str, reason: str) -> None:
    assert told(language, texts.failed, reason) != reason


@pytest.mark.parametrize("language", OTHERS)
def test_every_alert_is_translated(language: str) -> None:
    facts = {"number": 2, "all": 9, "failed": 7, "minutes": 10, "free": 10**8, "least": 10**7, "reason": "x"}
    states = ["unreachable", "none_while_prompts_wait", "none", "token_refused", "conflict", "telegram_unreachable"]
    found = [
        ("failures", "burst"),
        ("delivery", "stuck"),
        ("disk", "low"),
        ("review", "crowd"),
        *(("", state) for state in states),
    ]
    for kind, state in found:
        assert told(language, texts.alert, kind, state, facts) != told("en", texts.alert, kind, state, facts)


def test_what_an_operator_wrote_is_told_as_it_is() -> None:
    assert told("de", texts.greeting, "Hi there") == "Hi there"
    assert told("de", texts.greeting, DEFAULT_GREETING).startswith("Hallo! Ich mache aus Text")
    assert told("ru", texts.rejected, "Too rude.") == "Оператор отклонил этот запрос. Too rude."


@pytest.mark.parametrize(
    ("language", "seed", "one", "two", "five", "rest"),
    [
        ("en", "Seed 7", "1 step", "2 steps", "5 steps", "7.5 per second · guidance 9.5 · made in 2.5 s"),
        ("de", "Seed 7", "1 Schritt", "2 Schritte", "5 Schritte", "7,5 pro Sekunde · Guidance 9,5 · erstellt in 2,5 s"),
        ("es", "Semilla 7", "1 paso", "2 pasos", "5 pasos", "7,5 por segundo · guidance 9,5 · creado en 2,5 s"),
        ("ru", "Сид 7", "1 шаг", "2 шага", "5 шагов", "7,5 в секунду · guidance 9,5 · создано за 2,5 с"),
        ("zh-hans", "种子 7", "1 步", "2 步", "5 步", "每秒 7.5 帧 · 引导 9.5 · 用时 2.5 秒"),
    ],
)
def test_numbers_are_written_and_counted_as_the_language_does(
    language: str, seed: str, one: str, two: str, five: str, rest: str
) -> None:
    for steps, words in ((1, one), (2, two), (5, five)):
        facts = told(language, texts.facts, 7, 256, 256, "draft", steps, 2.5, fps=7.5, guidance=9.5)
        comma = "，" if language == "zh-hans" else ", "
        assert facts == f"{seed} · 256×256 · draft{comma}{words} · {rest}"


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "a cat · 26 Nov · Seed 7"),
        ("de", "a cat · 26. Nov · Seed 7"),
        ("es", "a cat · 26 Nov · Semilla 7"),
        ("ru", "a cat · 26 Ноя · Сид 7"),
        ("zh-hans", "a cat · 11月26日 · 种子 7"),
    ],
)
def test_a_day_is_written_as_the_language_does(language: str, line: str) -> None:
    assert told(language, texts.history_line, "a cat", datetime(2026, 11, 26, tzinfo=UTC), 7) == line


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_facts_under_a_video_fit_below_its_prompt(language: str) -> None:
    row = Generation(
        prompt=LINE * 30,
        negative_prompt=LINE * 10,
        ignored_text=LINE * 20,
        shortfall={"asked": 4, "accepted": 3, "why": {"rule": "waiting", "limit": 5, "reason": ""}},
        **{"seed": 2**31 - 1, "width": 576, "height": 576, "steps": 100, "frames": 32, "fps": 7.5},
        **{"guidance_scale": 12.5, "preset": "balanced", "render_seconds": 1234.5},
    )
    words = told(language, caption, row)
    assert utf16_length(words) <= MessageLimit.CAPTION_LENGTH
    assert words.startswith(LINE)


def toasts() -> Iterator[str]:
    """Texts that are shown when a button is pressed."""
    for path in Path(languages.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Pressed":
                for call in (part for toast in node.args[:1] for part in ast.walk(toast)):
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                        yield call.func.attr


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_toast_is_not_cut_off(language: str) -> None:
    shown = {name for name in toasts() if name in FUNCTIONS}
    assert {"cancelling", "reported", "edit_how"} <= shown
    words = {name: told(language, FUNCTIONS[name], **arguments(name, 0)) for name in shown}
    assert [name for name, toast in words.items() if utf16_length(toast) > TOAST_UNITS] == []
    for rule in ("daily", "waiting", "queue", "storage"):
        refusal = LimitReached(rule, limit=500, retry_at=MONTH if rule == "daily" else None)
        assert utf16_length(told(language, texts.refusal, refusal)) <= TOAST_UNITS


def test_telegram_takes_the_menus_in_every_language() -> None:
    told = [(scope.type, code, commands) for scope, code, commands in menus.menus()]
    assert [(scope, code) for scope, code, _ in told] == [
        *(("all_private_chats", code) for code in ("", "de", "es", "ru", "zh")),
        *(("all_group_chats", code) for code in ("", "de", "es", "ru", "zh")),
        ("default", ""),
    ]
    for _, _, commands in told:
        assert 0 < len(commands) <= BotCommandLimit.MAX_COMMAND_NUMBER
        for command in commands:
            assert 1 <= utf16_length(command.description) <= BotCommandLimit.MAX_DESCRIPTION
            # Android shows one line.
            assert utf16_length(command.description) <= 60, command
