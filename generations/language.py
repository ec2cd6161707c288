"""In which script a prompt is written. Not in which language: of a few words in Latin script nobody can tell that."""

from __future__ import annotations

import unicodedata

# Of the letters. Names and quotes in another script stand in many an English prompt.
MOST_OTHERS = 0.5
LETTERS = {"Lu", "Ll", "Lt", "Lo"}


def is_foreign(text: str) -> bool:
    """Are more than half of its letters not Latin? Emoji, digits and punctuation do not count.

    Letters for show (bold, circled, full width) are read as what they stand for.
    """
    if text.isascii():
        return False
    letters = [char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) in LETTERS]
    others = sum(not unicodedata.name(char, "").startswith("LATIN ") for char in letters)
    return others > MOST_OTHERS * len(letters)
