"""Texts are cut on whole characters and fit Telegram's limits, which count UTF-16 units."""

from __future__ import annotations

import pytest

from generations.models import Generation
from telegram_bot.captions import characters, shorten, utf16_length
from telegram_bot.delivery.parcel import caption
from tests.telegram_bot.conftest import ALICE, BOB, Finish, House
from tests.telegram_bot.pressing import press

FAMILY = "👨‍👩‍👧‍👦"
FLAG = "🇩🇪"
WAVE = "👋🏽"
RAINBOW = "🏳️‍🌈"
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
ACCENT = "e\u0301"
KEYCAP = "1\ufe0f\u20e3"
HANGUL = "\u1112\u1161\u11ab"


@pytest.mark.parametrize("whole", [FAMILY, FLAG, WAVE, RAINBOW, SCOTLAND, ACCENT, KEYCAP, HANGUL, "😀", "a"])
def test_what_looks_like_one_character_is_never_cut(whole: str) -> None:
    assert list(characters(whole * 3)) == [whole] * 3
    size = utf16_length(whole)
    assert shorten(whole * 3, 3 * size) == whole * 3
    for units in range(size + 1, 2 * size + 1):
        assert shorten(whole * 3, units) == f"{whole}…"
    if size > 1:
        assert shorten(whole * 3, size) == "…"


def test_length_is_what_telegram_counts() -> None:
    assert utf16_length("a😀") == 3
    assert utf16_length(SCOTLAND) == 14


@pytest.mark.parametrize("prompt", ["a" * 4096, "😀" * 600, FAMILY * 200, "a cat", f"x{FLAG}" * 300])
@pytest.mark.parametrize("tail", ["", "and " * 500])
def test_a_caption_fits_whatever_was_typed(prompt: str, tail: str) -> None:
    size = {"width": 256, "height": 256, "steps": 50}
    row = Generation(prompt=prompt, seed=2**31 - 1, **size, render_seconds=1234.5, ignored_text=tail)
    text = caption(row)
    assert utf16_length(text) <= 1024
    assert "\n\nSeed 2147483647 · 256×256 · exact, 50 steps · made in 1234 s" in text
    shown = text.partition("\n\nSeed")[0].removesuffix("…")
    assert prompt.startswith(shown)
    assert len(shown) > 0
    assert list(characters(prompt))[: len(list(characters(shown)))] == list(characters(shown))


def test_a_short_caption_shows_everything() -> None:
    settings = {"seed": 7, "width": 64, "height": 64, "preset": "draft", "steps": 4}
    row = Generation(prompt="a_b *c* <d>", **settings, render_seconds=3.21, ignored_text="elephant")
    assert caption(row) == (
        "a_b *c* <d>\n\nSeed 7 · 64×64 · draft, 4 steps · made in 3.2 s\n"
        "The model reads 77 tokens; it did not see: elephant"
    )


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
async def test_what_the_model_could_not_read_is_said_below_the_video(house: House, render: Finish) -> None:
    await house.say("a cat and a great many other animals, the last of them an elephant --seed 7")
    await render(ignored_text="an elephant")
    await house.deliver()
    [message] = house.telegram.bot_messages(ALICE)
    assert (message.kind, message.text.splitlines()[0]) == (
        "video",
        "a cat and a great many other animals, the last of them an elephant",
    )
    assert message.text.splitlines()[2].startswith("Seed 7 · ")
    assert message.text.splitlines()[3] == "The model reads 77 tokens; it did not see: an elephant"


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
async def test_the_licence_is_told_once_per_person_and_model(house: House, render: Finish) -> None:
    async def caption_of(model: str, licence: str = "CC-BY", chat_id: int = ALICE) -> str:
        await house.say("a cat", chat_id)
        await render(model_name=model, model_licence=licence)
        await house.deliver()
        return house.telegram.bot_messages(chat_id)[-1].text

    told = [
        await caption_of("one"),
        await caption_of("one"),
        await caption_of("two"),
        await caption_of("two"),
        await caption_of("two", "MIT"),
        await caption_of("two", "MIT", BOB),
    ]
    assert [text.partition(" · made in 12 s")[2] for text in told] == [
        "\nMade with one. Its licence: CC-BY.",
        " · one",
        "\nMade with two. Its licence: CC-BY.",
        " · two",
        "\nMade with two. Its licence: MIT.",
        "\nMade with two. Its licence: MIT.",
    ]
    # Shown again from the history it is not news.
    list_of_videos = (await house.say("/history"))[-1]
    await press(house, list_of_videos, list_of_videos.buttons[0][0]["text"])
    assert house.telegram.bot_messages(ALICE)[-1].text.endswith(" · two")
