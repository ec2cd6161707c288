"""Refusals of a flood: one notice a minute. What is refused after it is added to it, by an edit.

In memory: whoever starts anew sends one notice more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from .outbox import Run

SECONDS = 60.0
# Chats; those that were refused longest ago are forgotten first.
MOST = 1000


@dataclass(frozen=True)
class Notice:
    """messages: how many it answers. since: when it was sent, by the monotonic clock."""

    message_id: int
    messages: int
    since: float


class Notices:
    def __init__(self) -> None:
        self._told: dict[str, dict[tuple[object, ...], Notice]] = {}

    def earlier(self, run: Run) -> Notice | None:
        """The notice that this run is added to, if there is one."""
        notice = self._told.get(run.last.chat, {}).get(run.notice or ())
        return notice if notice is not None and time.monotonic() - notice.since < SECONDS else None

    def said(self, run: Run, message_id: int | None, earlier: Notice | None) -> None:
        """It went out: as a message of its own, or added to an earlier one."""
        chat = run.last.chat
        if run.notice is None:
            # Whoever looks for an answer looks below this one.
            self._told.pop(chat, None)
        elif message_id is not None:
            notice = earlier or Notice(message_id, 0, time.monotonic())
            told = self._told.pop(chat, {})
            told[run.notice] = replace(notice, messages=notice.messages + len(run.rows))
            self._told[chat] = told
            if len(self._told) > MOST:
                del self._told[next(iter(self._told))]
