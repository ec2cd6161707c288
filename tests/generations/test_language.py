"""In which script a prompt is: no English one is taken for foreign, whatever names and quotes stand in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from generations import language

DATA = Path(__file__).resolve().parents[1] / "data"


def lines(name: str) -> list[str]:
    return (DATA / name).read_text(encoding="utf-8").splitlines()


def test_none_of_five_hundred_english_prompts_is_asked_about() -> None:
    english = lines("english_prompts.txt")
    assert len(set(english)) == 500
    assert sum(not prompt.isascii() for prompt in english) > 60
    assert [prompt for prompt in english if language.is_foreign(prompt)] == []


def test_every_prompt_in_another_script_is_noticed() -> None:
    others = lines("other_prompts.txt")
    assert len(set(others)) > 60
    assert [prompt for prompt in others if not language.is_foreign(prompt)] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "🔥🔥🔥",
        "12345 !!! ???",
        "① ② ③",
        "𝕒 𝕔𝕒𝕥",
        "ＣＡＴ",
        "un gatto che balla",
        "en katt som dansar på bordet",
        "một con mèo đang nhảy",
        "bir kedi dans ediyor, şiir gibi",
        # As many letters of the one as of the other.
        "cat кот",
    ],
)
def test_what_has_no_other_script_is_never_asked_about(text: str) -> None:
    assert not language.is_foreign(text)
