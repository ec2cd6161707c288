"""Cuts texts to Telegram's limits, which count UTF-16 units, without breaking a character in two."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

JOINER = "\u200d"
ELLIPSIS = "…"


def utf16_length(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def characters(text: str) -> Iterator[str]:
    """What a person sees as one character each: with its accents, skin tone, joined emoji, or both halves of a flag."""
    whole = ""
    for character in text:
        if whole and _belongs_to(whole, character):
            whole += character
            continue
        if whole:
            yield whole
        whole = character
    if whole:
        yield whole


def shorten(text: str, units: int) -> str:
    """The text, or as many whole characters of it as fit with an ellipsis into so many UTF-16 units."""
    if utf16_length(text) <= units:
        return text
    kept, left = "", units - len(ELLIPSIS)
    for whole in characters(text):
        left -= utf16_length(whole)
        if left < 0:
            break
        kept += whole
    return kept.rstrip() + ELLIPSIS if units > 0 else ""


def _belongs_to(before: str, character: str) -> bool:
    if before.endswith(JOINER) or character == JOINER or unicodedata.category(character) in {"Mn", "Mc", "Me"}:
        return True
    if "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f":
        return True  # skin tones; the invisible letters that make the flag of Scotland
    if _is_flag_half(character):
        return len(before) == 1 and _is_flag_half(before)
    # Korean syllables may be written as a consonant, a vowel and a last consonant.
    return "\u1160" <= character <= "\u11ff" and "\u1100" <= before[-1] <= "\u11ff"


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
