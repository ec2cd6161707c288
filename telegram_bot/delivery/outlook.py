"""Where unfinished videos stand at one moment, in words: read once for as many rows as are asked about."""

from __future__ import annotations

from dataclasses import dataclass

from generations import estimates, services
from generations.models import Generation, Status

from .. import texts


@dataclass(frozen=True)
class Outlook:
    # What Generation.objects.queue_positions() returns.
    positions: dict[int, int]
    # Seconds until each video is there, as far as that is known.
    left: dict[int, float]
    # Nobody is there to render.
    unattended: bool = False

    @classmethod
    def now(cls) -> Outlook:
        positions = Generation.objects.queue_positions()
        return cls(positions, estimates.seconds_left(positions), services.nobody_renders())

    @classmethod
    def of_one_just_accepted(cls) -> Outlook:
        """In a flood there are many of these a second, and whether nobody renders shows after a minute only."""
        positions = Generation.objects.queue_positions()
        return cls(positions, estimates.seconds_left(positions))

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
        match row.status:
            case Status.PENDING_REVIEW:
                return texts.held()
            case Status.RUNNING:
                return texts.rendering(row.progress, left)
        # A row that a worker has just taken has no place in the queue any more.
        if row.pk not in self.positions:
            return texts.rendering(0)
        return texts.queued(self.positions[row.pk], len(self.positions), left, unattended=self.unattended)
