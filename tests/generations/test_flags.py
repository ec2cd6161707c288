"""Flags in a prompt: what counts as one, what it means for this model, and what a slip is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from generations.engine.base import VideoSpec
from generations.engine.card import InvalidSpec, ModelCard
from generations.flags import InvalidFlag, as_typed, parse, values
from generations.prompts import PromptRefused

CARD = ModelCard()
DEMO = replace(CARD, width=64, height=64, width_range=(64, 64), height_range=(64, 64), frames_range=(16, 16), steps=20)
EM, EN = "\u2014", "\u2013"
ZALGO = "s\u0337\u0321e\u0338\u0306e\u0334d\u0335"


def spec(text: str, card: ModelCard) -> VideoSpec:
    """What is typed, all the way to the model's card."""
    prompt, typed = parse(text)
    try:
        return card.spec(prompt, **{"seed": 1, **values(typed, card)})
    except InvalidSpec as error:
        raise as_typed(error, typed) from error


def refused(text: str, card: ModelCard = CARD) -> InvalidSpec:
    with pytest.raises(InvalidSpec) as refusal:
        spec(text, card)
    return refusal.value


def test_every_flag_of_the_issue_is_understood() -> None:
    text = "a red car --seed 7 --ar 16:9 --frames 24 --steps 30 --no text, watermark --preset balanced --guidance 12 x2"
    prompt, typed = parse(text)
    assert prompt == "a red car"
    assert typed == {
        "seed": "7",
        "ar": "16:9",
        "frames": "24",
        "steps": "30",
        "no": "text, watermark",
        "preset": "balanced",
        "guidance": "12",
        "results": "2",
    }
    assert values(typed, CARD) == {
        "seed": 7,
        "width": 344,
        "height": 192,
        "frames": 24,
        "steps": 30,
        "negative_prompt": "text, watermark",
        "preset": "balanced",
        "guidance_scale": 12.0,
    }


@pytest.mark.parametrize(
    ("text", "given"),
    [
        (f"a cat {EM}seed 7", {"seed": 7}),
        (f"a cat {EN}seed 7", {"seed": 7}),
        (f"a cat {EN}{EN}seed 7", {"seed": 7}),
        (f"a cat {EM}-seed 7", {"seed": 7}),
        ("a cat \u2015seed 7", {"seed": 7}),
        ("a cat \u2212\u2212seed 7", {"seed": 7}),
        ("a cat \u2011\u2011seed 7", {"seed": 7}),
        ("a cat --seed=7", {"seed": 7}),
        ("a cat --seed = 7", {"seed": 7}),
        ("a cat --seed: 7", {"seed": 7}),
        ("a cat --SEED 7", {"seed": 7}),
        ("a cat --Seed '7'", {"seed": 7}),
        ('a cat --seed "7"', {"seed": 7}),
        ("a cat --seed “7”", {"seed": 7}),
        ("a cat --seed 7,", {"seed": 7}),
        ("a cat --seed\n7", {"seed": 7}),
        ("a cat --seed \u200e7\u200f", {"seed": 7}),
        ("a cat --seed ٧", {"seed": 7}),
        ("a cat --seed 7 --seed 8", {"seed": 8}),
        ("a cat --guidance 7,5", {"guidance_scale": 7.5}),
        ("a cat --fps 12", {"fps": 12.0}),
        ("a cat --seconds 2", {"frames": 16}),
        ("a cat --seconds 2 --fps 10", {"frames": 20, "fps": 10.0}),
        ("a cat --size 256x128", {"width": 256, "height": 128}),
        ("a cat --size 256×128", {"width": 256, "height": 128}),
        ("a cat --size 256Х128", {"width": 256, "height": 128}),
        ("a cat --size 256*128", {"width": 256, "height": 128}),
        ("a cat --ar 16/9", {"width": 344, "height": 192}),
        ("a cat --aspect 9:16", {"width": 192, "height": 344}),
        ("a cat --ar 1:1", {"width": 256, "height": 256}),
        ("a cat --ar 2.35:1", {"width": 392, "height": 168}),
        ("a cat --preset BALANCED", {"preset": "balanced"}),
        ("a cat --negative blur", {"negative_prompt": "blur"}),
        ("a cat --no text --no watermark", {"negative_prompt": "text, watermark"}),
        ("a cat --no text, -- and dashes – too", {"negative_prompt": "text, -- and dashes – too"}),
        ('a cat --no "text --seed 7"', {"negative_prompt": "text --seed 7"}),
        ("a cat --no don't care", {"negative_prompt": "don't care"}),
        ("a cat --no «texte», flou", {"negative_prompt": "«texte», flou"}),
        ("--seed 7 a cat", {"seed": 7}),
        ('--no "text" a cat', {"negative_prompt": "text"}),
        ("--seed 7 a cat --steps 30", {"seed": 7, "steps": 30}),
    ],
)
def test_a_flag_is_understood_as_phones_and_people_type_it(text: str, given: dict[str, Any]) -> None:
    prompt, typed = parse(text)
    assert prompt == "a cat"
    assert values(typed, CARD) == given


@pytest.mark.parametrize(
    "text",
    [
        "a red car -- moving fast",
        "a red car --moving fast",
        f"a red car {EM} moving fast",
        f"a red car {EM}moving fast{EM} at night",
        f"a man{EM}no hat{EM}walking",
        "sci-fi--noir",
        "sci-fi--seed 7",
        "-seed 7 apples",
        "a T-shirt -no sleeves",
        "--",
        "a cat --",
        "--no, he said",
        "--side view of a size",
        f"{EM}sees a mouse",
        f"a tower {EM}built 1889{EM} at night",
        "a tower --built 1889-- at night",
        f"a cat --{ZALGO} 7",
        "a cat --сид 7",
        "x5 wings",
        "a cat x5",
        "a cat x1",
        "a cat x22",
        "max2",
        "2x2 bricks",
        "  spaces   stay \n lines too\t",
        "$(rm -rf --no-preserve-root /)",
        "\u202e7 deesd--",
        "x" * 4096,
        "--" * 2048,
        "-- " * 1365,
        f"{EM}a " * 1365,
    ],
)
def test_a_sentence_is_left_as_it_was_typed(text: str) -> None:
    assert parse(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("a cat --seed 7 on the moon", "a cat on the moon"),
        ("a cat\n--seed 7\non the moon", "a cat\non the moon"),
        ("  a cat  on   it --seed 7", "  a cat  on   it"),
        ("a cat --seed 7   ", "a cat"),
        ("--seed 7 a cat -- or two", "a cat -- or two"),
        (f"{ZALGO} --seed 7", ZALGO),
        ("קטן חתול --seed 7", "קטן חתול"),
        ("\u202ecat\u202c --seed 7", "\u202ecat\u202c"),
        ("חתול \u200f--seed 7", "חתול \u200f"),
        ("👩‍🚀 --seed 7", "👩‍🚀"),
        ("<b>cat</b> *x* [y](z) --seed 7", "<b>cat</b> *x* [y](z)"),
        ("y" * 4087 + " --seed 7", "y" * 4087),
    ],
)
def test_the_prompt_stays_as_typed_without_its_flags(text: str, prompt: str) -> None:
    assert parse(text) == (prompt, {"seed": "7"})


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("a cat x2", {"results": "2"}),
        ("a cat X3 ", {"results": "3"}),
        ("a cat ×4", {"results": "4"}),
        ("a cat х4", {"results": "4"}),
        ("a cat x2 --seed 7", {"results": "2", "seed": "7"}),
        ("a cat --seed 7 x2", {"results": "2", "seed": "7"}),
        ("a cat --no text, blur x3", {"results": "3", "no": "text, blur"}),
    ],
)
def test_the_last_word_says_how_many(text: str, typed: dict[str, str]) -> None:
    assert parse(text) == ("a cat", typed)


@pytest.mark.parametrize("text", ["--seed 7", "x2", "--no a red car", " \u200b --seed 7 x3", f"{EM}ar 16:9\n"])
def test_only_flags_are_no_prompt(text: str) -> None:
    with pytest.raises(PromptRefused, match="only flags") as refusal:
        parse(text)
    assert refusal.value.rule == "only_flags"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a cat --sede 7", "There is no flag --sede. Did you mean --seed?"),
        (f"a cat {EM}step 30", "There is no flag --step. Did you mean --steps?"),
        ("a cat --sec 2", "There is no flag --sec. Did you mean --seconds?"),
        ("a cat --frame=9", "There is no flag --frame. Did you mean --frames?"),
        ("a cat --presett draft", "There is no flag --presett. Did you mean --preset?"),
        (
            "a cat --stylize 100",
            "There is no flag --stylize. There are --seed, --ar, --size, --frames, --seconds, --fps, --steps, "
            "--guidance, --no, --preset or --style.",
        ),
        (
            "a cat --hd=yes",
            "There is no flag --hd. There are --seed, --ar, --size, --frames, --seconds, --fps, --steps, --guidance, "
            "--no, --preset or --style.",
        ),
        ("a cat --seed", "--seed needs a value."),
        ("a cat --seed --frames 9", "--seed needs a value."),
        ("a cat --no", "--no needs a value."),
        ("a cat --no --seed 7", "--no needs a value."),
        ('a cat --no ""', "--no needs a value."),
        ("a cat --seed abc", "--seed must be a whole number from 0 to 2147483647, not abc."),
        ("a cat --seed -1", "--seed must be a whole number from 0 to 2147483647, not -1."),
        ("a cat --seed 1_000", "--seed must be a whole number from 0 to 2147483647, not 1_000."),
        (
            "a cat --seed " + "9" * 400,
            f"--seed must be a whole number from 0 to 2147483647, not {'9' * 40}….",
        ),
        ("a cat --frames 33", "--frames must be a whole number from 1 to 32, not 33."),
        ("a cat --frames 2.5", "--frames must be a whole number from 1 to 32, not 2.5."),
        ("a cat --steps 101", "--steps must be a whole number from 1 to 100, not 101."),
        ("a cat --guidance hot", "--guidance must be a number from 1 to 30, not hot."),
        ("a cat --guidance nan", "--guidance must be a number from 1 to 30, not nan."),
        ("a cat --fps 0", "--fps must be a number from 1 to 60, not 0.0."),
        ("a cat --preset quick", "--preset must be exact, balanced, fast or draft, not quick."),
        ("a cat --size matters", "--size must be WIDTHxHEIGHT in multiples of 8 from 64x64 to 576x576, not matters."),
        ("a cat --size 100x100", "--size must be WIDTHxHEIGHT in multiples of 8 from 64x64 to 576x576, not 100x100."),
        ("a cat --size 0x64", "--size must be WIDTHxHEIGHT in multiples of 8 from 64x64 to 576x576, not 0x64."),
        (
            "a cat --ar wide",
            "--ar must be width:height, such as 1:1, 16:9, 9:16, 4:3, 3:4, 3:2, 2:3 or 21:9, not wide.",
        ),
        (
            "a cat --ar 100:1",
            "--ar must be width:height, such as 1:1, 16:9, 9:16, 4:3, 3:4, 3:2, 2:3 or 21:9, not 100:1.",
        ),
        (
            "a cat --ar 0:1",
            "--ar must be width:height, such as 1:1, 16:9, 9:16, 4:3, 3:4, 3:2, 2:3 or 21:9, not 0:1.",
        ),
        ("a cat --seconds 9", "--seconds must be a number from 0.125 to 4, not 9."),
        ("a cat --seconds 0", "--seconds must be a number from 0.125 to 4, not 0."),
        ("a cat --seconds 4 --fps 16", "--seconds must be a number from 0.0625 to 2, not 4."),
        ("a cat --size 64x64 --ar 1:1", "--size and --ar say the same thing twice; choose one of them."),
        ("a cat --frames 9 --seconds 1", "--frames and --seconds say the same thing twice; choose one of them."),
    ],
)
def test_a_slip_is_named_with_what_would_be_right(text: str, words: str) -> None:
    error = refused(text)
    assert str(error) == words
    assert isinstance(error, InvalidFlag)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a cat --size 256x256", "--size must be 64x64, not 256x256."),
        ("a cat --ar 16:9", "--ar must be 1:1, not 16:9."),
        ("a cat --seconds 3", "--seconds must be 2, not 3."),
        ("a cat --frames 8", "--frames must be 16, not 8."),
    ],
)
def test_a_model_of_one_size_and_length_says_so(text: str, words: str) -> None:
    assert str(refused(text, DEMO)) == words


def test_caps_are_part_of_what_is_legal() -> None:
    capped = CARD.capped(frames=24, steps=40, pixels=256 * 256)
    assert str(refused("a cat --frames 25", capped)) == "--frames must be a whole number from 1 to 24, not 25."
    assert str(refused("a cat --steps 41", capped)) == "--steps must be a whole number from 1 to 40, not 41."
    assert str(refused("a cat --size 512x512", capped)) == (
        "--size: width times height may be 65536 at most, not 512x512."
    )
    _, typed = parse("a cat --ar 16:9")
    size = values(typed, capped)
    assert (size["width"], size["height"]) == (336, 192)


@pytest.mark.parametrize("aspect", ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "21:9"])
def test_a_shape_becomes_a_legal_size_of_about_the_usual_area(aspect: str) -> None:
    size = values({"ar": aspect}, CARD)
    clip = CARD.spec("a", seed=1, **size)
    across, down = (int(side) for side in aspect.split(":"))
    assert clip.width / clip.height == pytest.approx(across / down, rel=0.04)
    assert clip.width * clip.height == pytest.approx(CARD.width * CARD.height, rel=0.04)


def test_a_refusal_that_no_flag_caused_keeps_its_words() -> None:
    with pytest.raises(InvalidSpec) as refusal:
        CARD.spec("a", seed=1, frames=99)
    assert as_typed(refusal.value, {"seed": "1"}) is refusal.value
