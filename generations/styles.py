"""Styles that people may choose by name, and what a row keeps of one. Their words are the operators'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from generations.flags import NAMES, InvalidFlag
from generations.models import Generation, Style

# What is typed for no style at all, against one's own settings.
NONE = "none"
# As many as a menu has room for.
MOST = 24

# One word for the parser, and no x2, which asks for two videos.
_NAME = re.compile(r"(?!x[2-4]$)[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Styling:
    """The fields of a Generation."""

    style: str = ""
    style_words: str = ""
    style_negative: str = ""

    @classmethod
    def of(cls, row: Generation) -> Styling:
        """The same words, whatever became of the style."""
        return cls(row.style, row.style_words, row.style_negative)


def offered() -> dict[str, Style]:
    """Those that people may choose, by name, in order."""
    return {style.name: style for style in Style.objects.filter(enabled=True)[:MOST]}


def existing() -> dict[str, Style]:
    """Also those that only operators may use."""
    return {style.name: style for style in Style.objects.all()}


def styling(typed: str, styles: Mapping[str, Style]) -> Styling:
    """What a style's name means. Raises InvalidFlag naming those that there are."""
    name = typed.casefold()
    if name == NONE:
        return Styling()
    if name not in styles:
        if not styles:
            raise InvalidFlag("style", "nothing")
        raise InvalidFlag("style", "choice", choices=(*styles, NONE), value=typed)
    return Styling(name, styles[name].words, styles[name].negative)


def is_name(name: str) -> bool:
    """Can people type it behind --style?"""
    return _NAME.fullmatch(name) is not None and name not in {NONE, *NAMES}
