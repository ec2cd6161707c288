"""What a prompt may be. A good one passes through unchanged."""

from __future__ import annotations

import unicodedata

# Telegram's own limit for one message; the admin and the command line keep to it too.
MAX_CHARACTERS = 4096

# Spaces, controls, formats (zero width, text direction), surrogates, unassigned: nothing that a person can see.
_INVISIBLE = {"Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Cn"}
# Letters and a symbol by category, blank on the screen: Hangul fillers and the empty Braille pattern.
_BLANK = "\u115f\u1160\u3164\uffa0\u2800"


class PromptRefused(ValueError):
    """rule is "empty", "too_long" or "only_flags"; str(error) is a sentence for the person."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def clean(text: str) -> str:
    """Return the prompt for the model: as typed, but for what no database or tokenizer can hold.

    NUL (PostgreSQL refuses it) and lone surrogates (not encodable) are dropped. Raises PromptRefused.
    """
    text = "".join(character for character in text if character != "\0" and unicodedata.category(character) != "Cs")
    if not is_visible(text):
        raise PromptRefused("empty", "There is no text to make a video from.")
    if len(text) > MAX_CHARACTERS:
        raise PromptRefused("too_long", f"A prompt may have {MAX_CHARACTERS} characters; this one has {len(text)}.")
    return text


def storable(text: str, length: int) -> str:
    """A stranger's name or title: without NUL and lone surrogates, which the database cannot hold."""
    return text.encode("utf-8", "ignore").decode("utf-8").replace("\0", "")[:length]


def is_visible(text: str) -> bool:
    """Is there anything that a person can see? A combining mark or variation selector alone shows nothing either."""
    return any(char not in _BLANK and unicodedata.category(char) not in _INVISIBLE | {"Mn", "Me"} for char in text)
