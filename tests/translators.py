"""Translators as an operator may bring one, good and bad: functions that settings.TRANSLATOR can name."""

from __future__ import annotations

import threading

# Set by a test to let the slow one go.
release = threading.Event()
asked: list[tuple[str, str]] = []


def good(text: str, language_code: str) -> str:
    asked.append((text, language_code))
    return " a red circle \n"


def slow(text: str, language_code: str) -> str:
    asked.append((text, language_code))
    release.wait(30)
    return "too late"


def broken(text: str, language_code: str) -> str:
    asked.append((text, language_code))
    raise RuntimeError("no")


def silent(text: str, language_code: str) -> str:
    return " \n "


def none(text: str, language_code: str) -> None:
    return None


def parrot(text: str, language_code: str) -> str:
    """Gives back what it got."""
    return text
