"""Answers with buttons under them, and what happens when somebody presses one. No I/O; actions.py says what each does.

A button carries "action:id:..." and nothing else: what it does and who may is looked up in the database when it is
pressed, which may be months later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from generations.services import Person

# Telegram's limit.
MAX_DATA_BYTES = 64


class Button(NamedTuple):
    label: str
    # Made by callback().
    data: str


# Rows of buttons.
Keyboard = Sequence[Sequence[Button]]


def callback(action: str, *arguments: object) -> str:
    """What a button carries. ValueError when Telegram would not take it."""
    data = ":".join([action, *map(str, arguments)])
    if not action or len(data.encode()) > MAX_DATA_BYTES:
        raise ValueError(f"a button cannot carry {data!r}")
    return data


def markup(keyboard: Keyboard | None) -> InlineKeyboardMarkup | None:
    """PTB's object; None for no buttons at all, which in an edit takes away those that were there."""
    rows = [[InlineKeyboardButton(label, callback_data=data) for label, data in row] for row in keyboard or () if row]
    return InlineKeyboardMarkup(rows) if rows else None


def row_number(text: str) -> int | None:
    """What a button carries as the number of a row; None when it cannot be one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@dataclass(frozen=True)
class Media:
    """A file to send: one that Telegram has already (which stays of its kind), or one in our storage."""

    kind: Literal["video", "animation", "document"]
    file_id: str = ""
    # In the storage; read when its turn to be sent comes.
    name: str = ""
    filename: str = "video.mp4"
    # Neither: everything that is kept of this person, made when its turn to be sent comes.
    exports: int | None = None


@dataclass(frozen=True)
class Answer:
    """A new message, as a reply. With media the text is its caption."""

    text: str
    keyboard: Keyboard | None = None
    media: Media | None = None
    # As in Form.
    refusal: str = ""


@dataclass(frozen=True)
class Press:
    """One button, pressed once."""

    person: Person
    action: str
    # Strings from the network: check them.
    arguments: tuple[str, ...]
    chat_id: int
    message_id: int
    # The same press has the same key, however often it is handled: part of a request_key.
    query_id: str

    def number(self, place: int = 0) -> int | None:
        """An argument that should be the number of a row; None when it is none."""
        return row_number(self.arguments[place]) if place < len(self.arguments) else None


@dataclass(frozen=True)
class Pressed:
    """What becomes of a press: a toast, and at most one of the rest."""

    # At most 200 characters; "" only ends the waiting. Shown at once, and lost if the bot dies just then.
    toast: str = ""
    # The toast as a window that wants an OK.
    alert: bool = False
    # The pressed message is edited: its words (or caption), its buttons, or both. Without text the words stay. With
    # text, keyboard=None takes the buttons away; without text, [] does.
    text: str | None = None
    keyboard: Keyboard | None = None
    # A new message, as a reply to the pressed one.
    sends: Answer | None = None
    # A job whose status message is sent as a reply to the pressed one, or which the pressed one becomes.
    announces: int | None = None
    announces_here: bool = False
    # The pressed message is deleted; where Telegram does not allow that any more, it is edited to text.
    deletes: bool = False
    # With it, another message of the same chat, where it still can be.
    deletes_also: int | None = None
    # Nothing is to be left of whoever pressed: what is kept of the press itself goes when it is answered.
    forgets: bool = False

    @property
    def shows(self) -> bool:
        """Does anything in the chat change, besides the toast?"""
        return self.deletes or self.sends is not None or self.text is not None or self.keyboard is not None


# Synchronous, in a thread with the database. It may be called twice for one press, so it must be idempotent.
Action = Callable[[Press], Pressed]


@dataclass(frozen=True)
class Form:
    """What an answer is besides its words, as it is kept with them until it is sent."""

    do: Literal["send", "edit", "delete"] = "send"
    keyboard: Keyboard | None = None
    media: Media | None = None
    # Another message to delete.
    also: int | None = None
    # The update is emptied when it is answered, see personal_updates.py.
    forgets: bool = False
    # The words and buttons are those of language_note.py for this prompt, made when its turn to be sent comes.
    asks: int | None = None
    # The rule of a refusal, of which one a minute is enough: see notices.py.
    refusal: str = ""

    @classmethod
    def of(cls, wish: Answer | Pressed) -> tuple[str, Form]:
        """The words and the form."""
        if isinstance(wish, Answer):
            return wish.text, cls("send", wish.keyboard, wish.media, refusal=wish.refusal)
        if wish.sends is not None:
            return cls.of(wish.sends)
        if wish.announces is not None and not wish.announces_here:
            return "", cls()
        do: Literal["edit", "delete"] = "delete" if wish.deletes else "edit"
        return wish.text or "", cls(do, wish.keyboard, also=wish.deletes_also, forgets=wish.forgets)

    def forgetting(self) -> Form:
        return replace(self, forgets=True)

    def dump(self) -> str:
        """JSON in ASCII; "" for plain words."""
        return "" if self == Form() else json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Form:
        if not text:
            return cls()
        kept = json.loads(text)
        keyboard = kept["keyboard"]
        if keyboard is not None:
            keyboard = [[Button(*button) for button in row] for row in keyboard]
        media = Media(**kept["media"]) if kept["media"] else None
        more = {name: kept[name] for name in ("also", "forgets", "asks", "refusal") if name in kept}
        return cls(kept["do"], keyboard, media, **more)
