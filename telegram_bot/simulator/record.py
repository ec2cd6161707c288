"""What the bot asked and what it was told, kept for tests to read."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, field

from .errors import Json

# Enough for any test; a demo that stays up for days must not grow for ever.
KEPT_CALLS = 20_000


@dataclass
class Call:
    """One request to the Bot API."""

    number: int
    method: str
    chat_id: int | str | None
    params: Json
    at: float = field(default_factory=time.time)
    status: int = 0
    response: Json | None = None
    # "sent", or what a fault did to it: "dropped", "cut".
    reply: str = "pending"

    def as_json(self) -> Json:
        """For the control interface."""
        return asdict(self)


class Record:
    """The calls in order."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self._count = 0

    def begin(self, method: str, chat_id: int | str | None, params: Json) -> Call:
        """Note a call as it arrives."""
        self._count += 1
        call = Call(self._count, method, chat_id, params)
        self._calls.append(call)
        return call

    def calls(self, method: str | None = None, chat_id: int | None = None) -> list[Call]:
        """Calls by method; without one, all but the endless getUpdates."""
        return [
            call
            for call in self._calls
            if (call.method.lower() == method.lower() if method else call.method.lower() != "getupdates")
            and (chat_id is None or str(call.chat_id) == str(chat_id))
        ]
