"""Flags inside a prompt: `a red car --seed 7 --no text, watermark x2`. Pure: what they may be, the card says.

`--flag value` or `--flag=value`, in any case, quoted or not. Phones turn two hyphens into a dash, so one dash counts as
well. What is no flag stays part of the prompt: only a known name that follows a dash at once, after a space, is one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generations.engine.card import InvalidSpec, ModelCard
from generations.engine.presets import PRESETS
from generations.prompts import PromptRefused, is_visible

# Two of these, or one of the others, begin a flag. Phones and keyboards have many.
_HYPHENS = "-\u2010\u2011\u2012\u2212\ufe63\uff0d"
_DASHES = "\u2013\u2014\u2015\u2e3a\u2e3b"
# Marks of text direction, zero width spaces: keyboards put them beside a number, and nobody sees them.
_UNSEEN = "\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
# As people type "by": the letter, the sign, the Cyrillic letter of the same look, the star.
_BY = "xX×хХ*"
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "”": "”", "‘": "’", "’": "’", "«": "»"}

_START = re.compile(
    rf"(?<![^\s{_UNSEEN}])(?P<dashes>[{_HYPHENS}{_DASHES}]{{1,4}})(?P<name>[^\W\d_][\w-]*)(?=[\s=:{_UNSEEN}]|$)"
)
_SEPARATOR = re.compile(rf"[\s{_UNSEEN}]*[=:]?[\s{_UNSEEN}]*")
_WORD = re.compile(r"\S+")
# A number at the end of the text, or before the next flag: nobody writes a sentence that way.
_NUMBER_LAST = re.compile(r"\s+[\d.,]+(?=\s*$|\s+--\w)")
_RESULTS = re.compile(rf"(?<!\S)[{_BY}]([2-4])[\s{_UNSEEN}]*$")
_PAIR = re.compile(rf"(\d+(?:[.,]\d+)?)(?:[{_BY}:/]|\u2236)(\d+(?:[.,]\d+)?)")
_WHOLE = re.compile(r"\d{1,18}")
_BROKEN = re.compile(r"\d{1,18}(?:[.,]\d{1,18})?")


@dataclass(frozen=True)
class Flag:
    """field: what it changes in engine.base.VideoSpec, "" when it takes more than its value to say."""

    name: str
    field: str
    looks_right: re.Pattern[str]

    @property
    def typed(self) -> str:
        return f"--{self.name}"


# In the order in which people are told of them.
FLAGS = {
    flag.name: flag
    for flag in (
        Flag("seed", "seed", _WHOLE),
        Flag("ar", "", _PAIR),
        Flag("size", "", _PAIR),
        Flag("frames", "frames", _WHOLE),
        Flag("seconds", "", _BROKEN),
        Flag("fps", "fps", _BROKEN),
        Flag("steps", "steps", _WHOLE),
        Flag("guidance", "guidance_scale", _BROKEN),
        Flag("no", "negative_prompt", re.compile(r".+")),
        Flag("preset", "preset", re.compile("|".join(PRESETS), re.IGNORECASE)),
        # What there is, the operators say: see styles.py.
        Flag("style", "", re.compile(r"[A-Za-z][A-Za-z0-9-]+")),
    )
}
# Other names for the same: of the command line, and what other makers call them.
_ALIASES = {"aspect": "ar", "negative": "no", "negative-prompt": "no"}
NAMES = {**{name: name for name in FLAGS}, **_ALIASES}
# A shorter word is like half the dictionary.
_LEAST_NEAR = 3
_NEARNESS = 0.7
_LONGEST_SHOWN = 40
# How many results: written as x2, without dashes.
RESULTS = "results"
# Two ways to say one thing.
_SAME = (("size", "ar"), ("frames", "seconds"))


class InvalidFlag(InvalidSpec):
    """A flag that does not exist, or a value that it cannot have. field is the flag without its dashes."""

    def __init__(self, flag: str, problem: str, **facts: Any) -> None:
        if "value" in facts:
            facts["value"] = _shortened(str(facts["value"]))
        super().__init__(flag, problem, **{"name": f"--{_shortened(flag)}", **facts})


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Return the prompt as typed, without its flags, and what each flag was given, by its name in FLAGS or RESULTS.

    Of a flag that is there twice the last counts; what not to show adds up. Raises InvalidFlag for what is meant as a
    flag and is none, and PromptRefused ("only_flags") when nothing else is left.
    """
    typed: dict[str, str] = {}
    # First: it may stand behind a flag that takes all the words that follow.
    prompt = _take_results(text, typed)
    prompt = _take_results(_take_flags(prompt, typed), typed)
    if typed and not is_visible(prompt):
        raise PromptRefused("only_flags", "There are only flags here, and no text to make a video from.")
    return prompt, typed


def values(typed: Mapping[str, str], card: ModelCard) -> dict[str, Any]:
    """Return the fields of engine.base.VideoSpec that the flags say. Numbers that are none stay text: the card refuses.

    Raises InvalidFlag for a size, shape or length that this model cannot render.
    """
    for one, other in _SAME:
        if one in typed and other in typed:
            raise InvalidFlag(one, "together", other=FLAGS[other].typed)
    said = [flag for flag in FLAGS.values() if flag.field and flag.name in typed]
    given: dict[str, Any] = {flag.field: _number(typed[flag.name], flag.looks_right) for flag in said}
    if "preset" in given:
        given["preset"] = typed["preset"].casefold()
    if "size" in typed:
        given["width"], given["height"] = _size(typed["size"], card)
    if "ar" in typed:
        given["width"], given["height"] = _shape(typed["ar"], card)
    if "seconds" in typed:
        given["frames"] = _frames(typed["seconds"], given.get("fps", card.fps), card)
    return given


def single(typed: Mapping[str, str]) -> Mapping[str, str]:
    """The same, where only one video is made. Raises InvalidFlag for more."""
    if RESULTS in typed:
        raise InvalidFlag(RESULTS, "several", name=f"x{typed[RESULTS]}")
    return typed


def as_typed(error: InvalidSpec, typed: Mapping[str, str]) -> InvalidSpec:
    """The same refusal in the words of the person who typed the flag; unchanged when no flag said it."""
    for name, flag in FLAGS.items():
        if name in typed and flag.field == error.field:
            return InvalidFlag(name, error.problem, **{**error.facts, "name": flag.typed})
    return error


# --- where flags are


def _take_results(text: str, typed: dict[str, str]) -> str:
    found = None if RESULTS in typed else _RESULTS.search(text)
    if found is None:
        return text
    typed[RESULTS] = found[1]
    return text[: found.start()].rstrip()


def _take_flags(text: str, typed: dict[str, str]) -> str:
    """The text without its flags, which go into typed."""
    pieces, done, position = list[str](), 0, 0
    while (start := _START.search(text, position)) is not None:
        flag = _flag_at(start)
        if flag is None:
            position = start.end()
            continue
        value, end = _value_of(flag, start)
        typed[flag.name] = f"{typed['no']}, {value}" if flag.name == "no" and "no" in typed else value
        pieces.append(text[done : start.start()])
        done = position = end
    return _joined([*pieces, text[done:]]) if pieces else text


def _joined(pieces: list[str]) -> str:
    """Where a flag was between two words, the space that was before it stays."""
    prompt, *others = pieces
    for piece in others:
        if not prompt.strip():
            prompt = piece.lstrip()
        elif piece.strip():
            prompt += ("" if prompt[-1].isspace() else " ") + piece.lstrip()
    return prompt.rstrip()


def _flag_at(start: re.Match[str]) -> Flag | None:
    """The flag that begins here; None when it is part of a sentence. Raises InvalidFlag for a slip of the pen."""
    text, dashes, typed = start.string, start["dashes"], start["name"].casefold()
    if len(dashes) == 1 and dashes in _HYPHENS:
        return None
    if typed in NAMES:
        return FLAGS[NAMES[typed]]
    if not typed.isascii():
        return None
    has_sign = text.startswith("=", start.end())
    word = _word_at(text, start.end())
    near = _nearest(typed)
    if near is not None and (has_sign or FLAGS[near].looks_right.fullmatch(word)):
        raise InvalidFlag(typed, "near", suggestion=FLAGS[near].typed)
    if has_sign or (dashes == "--" and _NUMBER_LAST.match(text, start.end())):
        raise InvalidFlag(typed, "unknown", choices=tuple(flag.typed for flag in FLAGS.values()))
    return None


def _nearest(typed: str) -> str | None:
    """The flag whose name this nearly is."""
    if len(typed) < _LEAST_NEAR:
        return None
    long = [name for name in NAMES if len(name) > _LEAST_NEAR]
    near = difflib.get_close_matches(typed, long, n=1, cutoff=_NEARNESS)
    near = near or [name for name in long if name.startswith(typed)]
    return NAMES[near[0]] if near else None


# --- what they say


def _word_at(text: str, position: int) -> str:
    after = _SEPARATOR.match(text, position)
    found = _WORD.match(text, after.end() if after else position)
    return _bare(found[0]) if found else ""


def _value_of(flag: Flag, start: re.Match[str]) -> tuple[str, int]:
    """The value behind a flag, and where it ends in the text."""
    text = start.string
    separator = _SEPARATOR.match(text, start.end())
    begin = separator.end() if separator else start.end()
    closing = _QUOTES.get(text[begin : begin + 1])
    closed = re.compile(rf"{closing}(?=\s|$)").search(text, begin + 1) if closing else None
    if closed:
        value, end = text[begin + 1 : closed.start()].strip(), closed.end()
    elif flag.name == "no":
        end = _next_flag(text, begin)
        value = text[begin:end].strip()
    else:
        word = _WORD.match(text, begin)
        end = word.end() if word and not _is_flag(_START.match(text, begin)) else begin
        value = _bare(text[begin:end])
    if not value:
        raise InvalidFlag(flag.name, "missing")
    return value, end


def _next_flag(text: str, position: int) -> int:
    """Where the next flag begins, or the text ends."""
    while (start := _START.search(text, position)) is not None:
        if _is_flag(start):
            return start.start()
        position = start.end()
    return len(text)


def _is_flag(start: re.Match[str] | None) -> bool:
    return start is not None and _flag_at(start) is not None


def _bare(word: str) -> str:
    """Without what a sentence or a keyboard puts around it."""
    return re.sub(f"[{_UNSEEN}]", "", word).rstrip(",;.")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _number(value: str, kind: re.Pattern[str]) -> object:
    if not kind.fullmatch(value):
        return value
    return int(value) if kind is _WHOLE else float(value.replace(",", ".")) if kind is _BROKEN else value


def _pair(value: str) -> tuple[float, float] | None:
    """Two numbers above zero."""
    found = _PAIR.fullmatch(value)
    if found is None:
        return None
    one, other = (float(number.replace(",", ".")) for number in found.groups())
    return (one, other) if one > 0 and other > 0 else None


def _size(value: str, card: ModelCard) -> tuple[int, int]:
    pair = _pair(value)
    width, height = pair or (0.0, 0.0)
    ranges = (card.width_range, card.height_range)
    good = all(
        low <= side <= high and side % card.size_multiple == 0
        for side, (low, high) in zip((width, height), ranges, strict=True)
    )
    if good and card.most_pixels and width * height > card.most_pixels:
        raise InvalidFlag("size", "pixels", most=card.most_pixels, value=value)
    if good:
        return int(width), int(height)
    lows, highs = ([bounds[end] for bounds in ranges] for end in (0, 1))
    smallest, largest = f"{lows[0]}x{lows[1]}", f"{highs[0]}x{highs[1]}"
    if smallest == largest:
        raise InvalidFlag("size", "choice", choices=(smallest,), value=value)
    raise InvalidFlag("size", "size", multiple=card.size_multiple, low=smallest, high=largest, value=value)


def _shape(value: str, card: ModelCard) -> tuple[int, int]:
    pair = _pair(value)
    if pair is not None:
        try:
            return card.size_of(*pair)
        except InvalidSpec:
            pass
    problem = "aspect" if len(card.aspects()) > 1 else "choice"
    raise InvalidFlag("ar", problem, choices=card.aspects() or (f"{card.width}:{card.height}",), value=value)


def _frames(value: str, fps: object, card: ModelCard) -> int:
    """So many seconds as a number of frames."""
    per_second = fps if isinstance(fps, int | float) and 0 < fps < 1000 else card.fps
    low, high = card.frames_range
    seconds = _number(value, _BROKEN)
    frames = round(seconds * per_second) if isinstance(seconds, float) else 0
    if low <= frames <= high:
        return frames
    shortest, longest = f"{low / per_second:.3g}", f"{high / per_second:.3g}"
    if shortest == longest:
        raise InvalidFlag("seconds", "choice", choices=(shortest,), value=value)
    raise InvalidFlag("seconds", "number", low=shortest, high=longest, value=value)
