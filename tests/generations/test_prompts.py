"""What may be a prompt: good ones pass unchanged, invisible ones are refused in words."""

from __future__ import annotations

import unicodedata

import pytest

from generations.prompts import MAX_CHARACTERS, PromptRefused, clean


@pytest.mark.parametrize(
    "text",
    [
        "a red circle moving right",
        "  spaces   stay \n lines too\t",
        "1 < 2 & 3 <b>bold</b> `code` *x* [y](z)",
        "Ein Fuß auf dem Mond – schön",
        "宇宙で踊る猫",
        "👩‍🚀 on 🌕",
        "נסיעה",
        "é",
        "?",
        "x" * MAX_CHARACTERS,
    ],
)
def test_a_good_prompt_reaches_the_model_unchanged(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nothing", ""),
        ("spaces", "   \n\t "),
        ("no-break spaces", "\u00a0\u2007\u202f"),
        ("zero width", "\u200b\u200c\u200d\u2060\ufeff"),
        ("text direction", "\u202e\u202d\u2066\u2069"),
        ("soft hyphen", "\u00ad"),
        ("line separators", "\u2028\u2029\u0085"),
        ("controls", "\x00\x07\x1b"),
        ("a variation selector alone", "\ufe0f"),
        ("a combining accent alone", "\u0301"),
        ("lone surrogates", "\ud800\udfff"),
        ("unassigned", "\U000e0fff"),
        ("tags", "\U000e0061\U000e007f"),
        ("Hangul filler", "\u3164"),
        ("Hangul choseong filler", "\u115f\u1160"),
        ("halfwidth Hangul filler", "\uffa0"),
        ("blank Braille pattern", "\u2800"),
    ],
)
def test_a_prompt_with_nothing_to_see_is_refused(name: str, text: str) -> None:
    with pytest.raises(PromptRefused, match="no text") as refusal:
        clean(text)
    assert refusal.value.rule == "empty"


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers() -> None:
    with pytest.raises(PromptRefused, match=r"4096 characters; this one has 4097") as refusal:
        clean("x" * 4097)
    assert refusal.value.rule == "too_long"


def test_what_no_database_can_hold_is_left_out() -> None:
    assert clean("a\0 cat\ud83d") == "a cat"


def test_an_invisible_character_inside_a_prompt_stays() -> None:
    assert unicodedata.category("\u200d") == "Cf"
    assert clean("a\u200db") == "a\u200db"
