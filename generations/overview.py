"""Where the whole installation stands, in numbers, for its operators. Cheap with a million rows, and asked for anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from django.db.models.functions import Now
from django.utils import timezone

from generations import attendance, limits
from generations.models import Delivery, Generation, Policy, Status

# Of each kind the newest so many: beyond them nobody counts what ended lately.
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
    counts = {status: Generation.objects.filter(status=status) for status in (Status.QUEUED, Status.PENDING_REVIEW)}
    renders = _renders()
    alive = _alive()
    return Overview(
        at=timezone.now(),
        waiting=counts[Status.QUEUED].count(),
        rendering=sum(map(len, renders.values())),
        held=counts[Status.PENDING_REVIEW].count(),
        workers=[Worker(name, renders.get(name, ())) for name in sorted({*renders, *(alive or ())})],
        queue_answers=alive is not None,
        lately=outcomes(LATELY),
        free=limits.free_space(),
        paused=Policy.current().paused,
    )


def outcomes(within: timedelta) -> Outcomes:
    """Videos made and failed since then."""
    return Outcomes(_ended(Status.SUCCEEDED, within), _ended(Status.FAILED, within))


def undelivered(tries: int, older_than: timedelta) -> tuple[int, str]:
    """Results that were ready before and could not be sent in so many tries, and what the last said."""
    finished_before = timezone.now() - older_than
    rows = Generation.objects.filter(
        delivery=Delivery.WAITING, delivery_attempts__gte=tries, finished_at__lt=finished_before
    )
    reasons = list(rows.order_by("-pk").values_list("delivery_error", flat=True)[:LOOKED_AT])
    return len(reasons), reasons[0] if reasons else ""


def _ended(status: Status, within: timedelta) -> int:
    since = timezone.now() - within
    # By their numbers, for which there is an index.
    newest = Generation.objects.filter(status=status).order_by("-pk").values_list("finished_at", flat=True)
    return sum(finished_at is not None and finished_at >= since for finished_at in newest[:LOOKED_AT])


def _renders() -> Mapping[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    running = Generation.objects.filter(status=Status.RUNNING, lease_until__gt=Now()).order_by("pk")
    for pk, owner, progress in running.values_list("pk", "owner", "progress"):
        found[attendance.process_of(owner)].append((pk, progress))
    return found


def _alive() -> list[str] | None:
    """None when the queue server does not answer."""
    try:
        with attendance.impatient_redis() as client:
            return [attendance.process_of(name) for name in attendance.workers(client)]
    except redis.RedisError:
        return None
