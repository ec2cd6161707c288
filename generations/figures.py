"""How the last day went, in numbers for the dashboard: one look at what ended lately, whatever lies before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from generations.models import Generation, Requester, Status

HOURS = 24
# The newest so many of what ended. Where more did, the figures begin later, and say so.
LOOKED_AT = 5_000
NAMED = 8
REASON_LENGTH = 120


@dataclass(frozen=True)
class Hour:
    begins: datetime
    made: int
    failed: int


@dataclass(frozen=True)
class Spread:
    """Seconds."""

    median: float
    p95: float


@dataclass(frozen=True)
class Figures:
    # Later than HOURS ago where more than LOOKED_AT ended since.
    since: datetime
    is_cut: bool
    hours: Sequence[Hour]
    made: int
    failed: int
    wait: Spread | None
    render: Spread | None
    people: Sequence[tuple[Requester, int]]
    failures: Sequence[tuple[str, int]]

    @property
    def success(self) -> float | None:
        """Per cent of what was rendered to its end; what people or operators stopped is neither."""
        ended = self.made + self.failed
        return 100 * self.made / ended if ended else None


def lately() -> Figures:
    # Hours of the clock, so that a bar stays where it is until the next hour begins.
    next_hour = timezone.localtime().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    since = next_hour - timedelta(hours=HOURS)
    ended = Generation.objects.filter(finished_at__gte=since).order_by("-finished_at")
    rows: list[tuple[Any, ...]] = list(
        ended.values_list(
            "status", "created_at", "started_at", "finished_at", "render_seconds", "requester_id", "public_error"
        )[:LOOKED_AT]
    )
    is_cut = len(rows) == LOOKED_AT
    if is_cut:
        since = rows[-1][3]
    outcomes = Counter[tuple[int, str]]()
    waits, renders = list[float](), list[float]()
    people, failures = Counter[int](), Counter[str]()
    for status, created_at, started_at, finished_at, seconds, requester_id, reason in rows:
        outcomes[max(0, (next_hour - finished_at) // timedelta(hours=1)), status] += 1
        if started_at is not None:
            # Between two readings the clock may have been set back.
            waits.append(max(0.0, (started_at - created_at).total_seconds()))
        if seconds is not None:
            renders.append(seconds)
        people[requester_id] += 1
        if status == Status.FAILED:
            failures[" ".join(reason.split())[:REASON_LENGTH]] += 1
    hours = [
        Hour(next_hour - timedelta(hours=ago + 1), outcomes[ago, Status.SUCCEEDED], outcomes[ago, Status.FAILED])
        for ago in reversed(range(HOURS))
    ]
    return Figures(
        since=since,
        is_cut=is_cut,
        hours=hours,
        made=sum(hour.made for hour in hours),
        failed=sum(hour.failed for hour in hours),
        wait=spread(waits),
        render=spread(renders),
        people=_named(people.most_common(NAMED)),
        failures=failures.most_common(NAMED),
    )


def spread(values: Sequence[float]) -> Spread | None:
    """Nearest rank: always one of the values."""
    if not values:
        return None
    ordered = sorted(values)
    return Spread(*(ordered[max(0, -(-len(ordered) * percent // 100) - 1)] for percent in (50, 95)))


def _named(counts: Sequence[tuple[int, int]]) -> list[tuple[Requester, int]]:
    people = Requester.objects.in_bulk([pk for pk, _ in counts])
    # Somebody may have been erased since.
    return [(people[pk], number) for pk, number in counts if pk in people]
