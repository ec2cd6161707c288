"""The block list: words and patterns of operators, looked for in every prompt before it is accepted.

RE2 takes time in proportion to the text and to the size of the compiled pattern, whatever somebody wrote: (a+)+$
included. Both are bounded. What it cannot do for that (look-ahead, back-references) is refused on the form. Texts and
patterns are compared without capitals, accents, compatibility forms and invisible characters; letters of another
alphabet that look alike, and digits for letters, are not seen through.
"""

from __future__ import annotations

import functools
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from generations.models import Generation, Rule

# Each is looked for in every prompt.
MOST_RULES = 200
# Memory of a compiled pattern.
MOST_BYTES = 8 * 1024 * 1024
# Instructions of a compiled pattern: each may be tried at each character of a prompt.
MOST_INSTRUCTIONS = 5000
# One character that stands for more letters than this is left as it is: there are some that stand for eighteen.
LONGEST_FORM = 4
# Scripts that are written without spaces, or with endings at the word: a word is found inside others.
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
# What a trial looks at, unless it is asked for more; and the most that it does.
TRIED, MOST_TRIED = 2_000, 20_000
TRIAL_SECONDS = 5.0
# Hits that are shown.
SHOWN = 50


class BadPattern(ValueError):
    """str(error) says what is wrong with it."""


@dataclass(frozen=True)
class Hit:
    """A past prompt with what matched in it."""

    pk: int
    before: str
    match: str
    after: str


@dataclass(frozen=True)
class Trial:
    looked_at: int
    found: int
    hits: Sequence[Hit]
    # For all of them, and for the slowest.
    milliseconds: float
    slowest: float
    # Time was over before all were looked at.
    is_cut: bool


def enabled() -> list[Rule]:
    """One query for all prompts that are decided together."""
    return list(Rule.objects.filter(enabled=True)[:MOST_RULES])


def matching(rules: Iterable[Rule], texts: Iterable[str]) -> list[Rule]:
    """Those of the rules that are met by any of the texts."""
    plain = [normalised(text) for text in texts if text]
    return [rule for rule in rules if any(finder(rule.kind, rule.pattern).search(text) for text in plain)]


@functools.lru_cache(maxsize=2 * MOST_RULES)
def finder(kind: str, pattern: str) -> Any:
    """Compiled, once per process and pattern. Raises BadPattern."""
    if kind == Rule.Kind.WORDS:
        words = [" ".join(normalised(line).split()) for line in pattern.splitlines()]
        expression = _whole_words(word for word in words if word)
        if not expression:
            raise BadPattern("There are no words.")
    else:
        # Its own signs are ASCII; the rest is letters, to be compared as those of the text are.
        expression = "".join(char if char.isascii() else normalised(char) for char in pattern.strip())
        if not expression:
            raise BadPattern("There is no pattern.")
    options = re2.Options()
    options.max_mem = MOST_BYTES
    options.log_errors = False
    # The text is in small letters; so is what it is compared with.
    options.case_sensitive = False
    try:
        found = re2.compile(expression, options=options)
    except re2.error as error:
        said = error.args[0]
        raise BadPattern(f"RE2 cannot read it: {said.decode() if isinstance(said, bytes) else said}.") from error
    if found.programsize > MOST_INSTRUCTIONS:
        raise BadPattern(f"It is too large: {found.programsize} steps, of at most {MOST_INSTRUCTIONS}. Repeat less.")
    if kind == Rule.Kind.PATTERN and found.search(""):
        raise BadPattern("It matches every prompt, the empty one too.")
    return found


def _whole_words(words: Iterable[str]) -> str:
    """An expression for normalised words with what may stand beside them; "" for none.

    One pair of edges for all words that take it: a class of all letters is a thousand instructions.
    """
    sides: dict[tuple[str, str], list[str]] = defaultdict(list)
    for word in words:
        escaped = r"\s+".join(re2.escape(part) for part in word.split())
        sides[_edge(word[0], "^"), _edge(word[-1], "$")].append(escaped)
    return "|".join(f"{before}(?:{'|'.join(group)}){after}" for (before, after), group in sides.items())


def _edge(char: str, end: str) -> str:
    r"""What must stand beside a word that begins or ends with this. \b knows the letters of English only."""
    is_letter = unicodedata.category(char)[0] in "LN"
    is_free = not is_letter or unicodedata.name(char, "").startswith(UNSPACED)
    return "" if is_free else rf"(?:{end}|[^\pL\pM\pN])"


def normalised(text: str) -> str:
    """As rules see a text: no capitals, accents, compatibility forms or invisible characters."""
    apart = unicodedata.normalize("NFD", "".join(map(_plain, text)).casefold())
    kept = "".join(character for character in apart if unicodedata.category(character) not in ("Mn", "Me", "Cf"))
    return unicodedata.normalize("NFC", kept)


def _plain(character: str) -> str:
    form = unicodedata.normalize("NFKD", character)
    return form if len(form) <= LONGEST_FORM else character


def try_out(kind: str, pattern: str, most: int = TRIED) -> Trial:
    """Which of the newest prompts the pattern would meet, and how long that takes. Raises BadPattern."""
    find = finder(kind, pattern)
    prompts = Generation.objects.order_by("-pk").values_list("pk", "prompt")[: min(most, MOST_TRIED)]
    hits: list[Hit] = []
    looked_at = found = 0
    taken = slowest = 0.0
    for pk, prompt in prompts.iterator():
        text = normalised(prompt)
        began = time.perf_counter()
        match = find.search(text)
        passed = 1000 * (time.perf_counter() - began)
        looked_at, taken, slowest = looked_at + 1, taken + passed, max(slowest, passed)
        if match is not None:
            found += 1
            if len(hits) < SHOWN:
                start, end = match.span()
                hits.append(Hit(pk, text[max(0, start - 60) : start], text[start:end], text[end : end + 60]))
        if taken > 1000 * TRIAL_SECONDS:
            return Trial(looked_at, found, hits, taken, slowest, True)
    return Trial(looked_at, found, hits, taken, slowest, False)
