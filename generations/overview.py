"""Where the whole installation stands, in numbers, for its operators. Cheap with a million rows, and asked for anew."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import redis
from django.db.models import Count
from django.db.models.functions import Now
from django.utils import timezone

from generations import attendance, limits
from generations.attendance import Attendant
from generations.models import Delivery, Generation, Policy, Status

# The newest so many: beyond them nobody counts what ended lately.
LOOKED_AT = 1000
LATELY = timedelta(hours=1)


@dataclass(frozen=True)
class Outcomes:
    made: int
    failed: int


@dataclass(frozen=True)
class Worker:
    name: str
    # What it renders: number of the row, and per cent.
    renders: Sequence[tuple[int, int]] = ()
    # Steps of those rows in all, by number.
    steps: Mapping[int, int] = field(default_factory=dict)
    # Empty and None while the queue server does not answer.
    device: str = ""
    heard_at: datetime | None = None


@dataclass(frozen=True)
class Overview:
    at: datetime
    waiting: int
    rendering: int
    held: int
    # Idle ones too; only those that render while the queue server does not answer.
    workers: Sequence[Worker]
    queue_answers: bool
    lately: Outcomes
    # Bytes; None where the videos lie on no disk of ours.
    free: int | None
    paused: bool


def now() -> Overview:
    counts = _counts()
    running = _running()
    alive = _alive()
    workers = [
        Worker(
            name,
            [(row.pk, row.progress) for row in running.get(name, ())],
            {row.pk: row.steps for row in running.get(name, ())},
            *_facts((alive or {}).get(name)),
        )
        for name in sorted({*running, *(alive or ())})
    ]
    return Overview(
        at=timezone.now(),
        waiting=counts[Status.QUEUED],
        rendering=sum(map(len, running.values())),
        held=counts[Status.PENDING_REVIEW] + counts[Delivery.HELD],
        workers=workers,
        queue_answers=alive is not None,
        lately=outcomes(LATELY),
        free=limits.free_space(),
        paused=Policy.current().paused,
    )


def outcomes(within: timedelta) -> Outcomes:
    """Videos made and failed since then."""
    ended = Generation.objects.filter(finished_at__gte=timezone.now() - within).order_by("-finished_at")
    counts = Counter(ended.values_list("status", flat=True)[:LOOKED_AT])
    return Outcomes(made=counts[Status.SUCCEEDED], failed=counts[Status.FAILED])


def undelivered(tries: int, older_than: timedelta) -> tuple[int, str]:
    """Results that were ready before and could not be sent in so many tries, and what the last said."""
    finished_before = timezone.now() - older_than
    rows = Generation.objects.filter(
        delivery=Delivery.WAITING, delivery_attempts__gte=tries, finished_at__lt=finished_before
    )
    reasons = list(rows.order_by("-pk").values_list("delivery_error", flat=True)[:LOOKED_AT])
    return len(reasons), reasons[0] if reasons else ""


def _counts() -> Mapping[str, int]:
    """Queued and held prompts by status, held videos by their delivery."""
    # A union: with OR between two columns SQLite looks at every row.
    prompts = Generation.objects.filter(status__in=[Status.QUEUED, Status.PENDING_REVIEW]).order_by()
    videos = Generation.objects.filter(delivery=Delivery.HELD).order_by()
    counted = prompts.values("status").annotate(number=Count("pk")).values_list("status", "number")
    held = videos.values("delivery").annotate(number=Count("pk")).values_list("delivery", "number")
    counts: dict[str, int] = defaultdict(int)
    counts.update(counted.union(held, all=True))
    return counts


def _running() -> Mapping[str, list[Generation]]:
    found: dict[str, list[Generation]] = defaultdict(list)
    running = Generation.objects.filter(status=Status.RUNNING, lease_until__gt=Now()).order_by("pk")
    for row in running.only("owner", "progress", "steps"):
        found[attendance.process_of(row.owner)].append(row)
    return found


def _alive() -> Mapping[str, Attendant] | None:
    """None when the queue server does not answer."""
    try:
        with attendance.impatient_redis() as client:
            return {attendance.process_of(worker.name): worker for worker in attendance.workers(client)}
    except redis.RedisError:
        return None


def _facts(seen: Attendant | None) -> tuple[str, datetime | None]:
    return (seen.device, seen.heard_at) if seen else ("", None)
