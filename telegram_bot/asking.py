"""A command about what a person has, and what it is answered with. commands.py says what each does."""

from __future__ import annotations

from dataclasses import dataclass

from generations.services import Person, Place

from .captions import shorten

# Of a prompt, where there is only room for a line.
TITLE_UNITS = 40


@dataclass(frozen=True)
class Ask:
    """Done after the prompts that the same person sent before it, and before those sent after it."""

    person: Person
    place: Place
    # Without its slash.
    command: str
    # What is written behind it.
    words: str
    # The same command has the same key, however often it is handled: for a request_key.
    key: str

    @property
    def whose(self) -> tuple[int, int]:
        """For the questions of generations.personal."""
        return self.person.user_id, self.place.chat_id


@dataclass(frozen=True)
class Announcement:
    """A job whose status message is the answer."""

    pk: int


def title_of(prompt: str) -> str:
    """A prompt in a few words, without line breaks."""
    return shorten(" ".join(prompt.split()), TITLE_UNITS)
