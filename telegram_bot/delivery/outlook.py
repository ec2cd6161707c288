"""Where unfinished videos stand at one moment, in words: read once for as many rows as are asked about."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from generations import estimates, services
from generations.models import Delivery, Generation, Status

from .. import texts

# To read a longer queue takes so long that everybody who asks within a moment is told the same: with 100,000 in it, a
# third of a second. Nobody notices whether the number is two seconds old.
LONG_QUEUE = 2000
KEPT_SECONDS = 2.0


@dataclass(frozen=True)
class Outlook:
    # What Generation.objects.queue_positions() returns.
    positions: dict[int, int]
    # Seconds until each video is there, as far as that is known.
    left: dict[int, float]
    # Nobody is there to render.
    unattended: bool = False
    read_at: float = field(default_factory=lambda: time.monotonic())

    _kept: ClassVar[Outlook | None] = None

    @classmethod
    def now(cls, rows: Iterable[Generation] = ()) -> Outlook:
        """rows: those that are asked about, as they are."""
        return replace(cls._latest(rows), unattended=services.nobody_renders())

    @classmethod
    def of_one_just_accepted(cls, row: Generation) -> Outlook:
        """In a flood there are many of these a second, and whether nobody renders shows after a minute only."""
        return cls._latest([row])

    @classmethod
    def _latest(cls, rows: Iterable[Generation]) -> Outlook:
        kept = cls._kept
        if kept is None or time.monotonic() - kept.read_at > KEPT_SECONDS or not kept._knows(rows):
            positions = Generation.objects.queue_positions()
            kept = cls(positions, estimates.seconds_left(positions))
            cls._kept = kept if len(positions) > LONG_QUEUE else None
        return kept

    def _knows(self, rows: Iterable[Generation]) -> bool:
        """Not what was accepted since."""
        return all(row.pk in self.positions for row in rows if row.status == Status.QUEUED)

    def status(self, row: Generation) -> str:
        """What its status message says."""
        parts, missing = [self.words(row)], services.shortfall(row)
        if missing is not None:
            parts.append(texts.shortfall(missing.asked, missing.accepted, missing.refusal))
        if row.results > 1:
            parts.append(texts.first_of(row.results))
        return "\n\n".join(parts)

    def words(self, row: Generation) -> str:
        """How far it is."""
        left = self.left.get(row.pk)
        if row.delivery == Delivery.HELD:
            return texts.held_video()
        match row.status:
            case Status.PENDING_REVIEW:
                return texts.held()
            case Status.RUNNING:
                return texts.rendering(row.progress, left)
        # A row that a worker has just taken has no place in the queue any more.
        if row.pk not in self.positions:
            return texts.rendering(0)
        return texts.queued(self.positions[row.pk], len(self.positions), left, unattended=self.unattended)
