"""When unfinished videos will be there, from what recent ones of the same shape took. Never invented.

What is not known has no estimate: no recent video of that shape, no worker, or an unknown one further ahead.
"""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from statistics import median, median_low

import redis
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from generations import attendance
from generations.models import BATCH_KEY, Generation, Status

# The newest videos of all people that are looked at, and how many of them count for one shape.
RECENT = 200
SAMPLES = 20
# Videos that were begun within so many seconds may have shared a render.
SAME_MOMENT = 1.0
# Of a longer queue only the beginning is played through, at every look.
FORESEEN = 1000
# The queue server is asked at most this often.
ASK_SECONDS = 10

# The values of BATCH_KEY.
Shape = tuple[object, ...]


@dataclass(frozen=True)
class Pace:
    """seconds: of one render, from its beginning to the stored file. together: videos that share it, at least 1."""

    seconds: float
    together: int


def seconds_left(positions: Mapping[int, int]) -> dict[int, float]:
    """Until the video is there, by primary key, of all unfinished rows of which that is known. Two queries.

    positions: what Generation.objects.queue_positions() returned.
    """
    waiting = list(islice(positions, FORESEEN))
    rows = Generation.objects.filter(Q(pk__in=waiting) | Q(status=Status.RUNNING, lease_until__gt=Now()))
    shapes: dict[int, Shape] = {}
    running: list[tuple[int, str, int]] = []
    for pk, status, owner, progress, *shape in rows.values_list("pk", "status", "owner", "progress", *BATCH_KEY):
        shapes[pk] = tuple(shape)
        if status == Status.RUNNING:
            running.append((pk, owner, progress))
    samples = _recent_samples() if shapes else {}
    if not samples:
        return {}
    workers = max(workers_lately(), len({owner for _, owner, _ in running}))
    paces = {shape: _pace(renders, workers) for shape, renders in samples.items()} if workers else {}
    left: dict[int, float] = {}
    # When each worker will take the next.
    free: dict[str, float] = {}
    for pk, owner, progress in running:
        pace = paces.get(shapes[pk])
        # Where that is not known, what waits is not promised this worker.
        left_here = float("inf") if pace is None else pace.seconds * (100 - progress) / 100
        free[owner] = max(free.get(owner, 0.0), left_here)
        if pace is not None:
            left[pk] = left_here
    turns = [*free.values(), *[0.0] * (workers - len(free))]
    heapq.heapify(turns)
    for pk in waiting:
        pace = paces.get(shapes.get(pk, ()))
        # Whoever waits behind an unknown one waits for an unknown time.
        if pace is None or turns[0] == float("inf"):
            break
        left[pk] = turns[0] + pace.seconds
        heapq.heapreplace(turns, turns[0] + pace.seconds / pace.together)
    return left


def _recent_samples() -> dict[Shape, list[tuple[datetime, float]]]:
    """By shape, the newest videos: when each was begun, and how many seconds it took. One query."""
    newest = Generation.objects.filter(status=Status.SUCCEEDED, render_seconds__gt=0, started_at__isnull=False)
    samples: dict[Shape, list[tuple[datetime, float]]] = defaultdict(list)
    served: str | None = None
    for model, started_at, seconds, *shape in newest.order_by("-pk").values_list(
        "model_name", "started_at", "render_seconds", *BATCH_KEY
    )[:RECENT]:
        # Another model takes another time: what an earlier one took says nothing.
        served = model if served is None else served
        if model == served and len(samples[tuple(shape)]) < SAMPLES:
            samples[tuple(shape)].append((started_at, seconds))
    return samples


def _pace(videos: list[tuple[datetime, float]], workers: int) -> Pace:
    """Videos begun in one moment shared one render; with several workers, as few of them as can be."""
    renders: list[int] = []
    first: datetime | None = None
    for started_at, seconds in sorted(videos):
        # A short render is over before the next one begins.
        if first is not None and (started_at - first).total_seconds() <= min(SAME_MOMENT, seconds / 2):
            renders[-1] += 1
        else:
            renders.append(1)
            first = started_at
    return Pace(median(seconds for _, seconds in videos), max(1, median_low(renders) // workers))


def workers_lately() -> int:
    """Workers alive, as the queue server said in the last ASK_SECONDS; 0 when it did not answer."""
    return _workers(settings.REDIS_URL, int(time.monotonic() // ASK_SECONDS))


@lru_cache(maxsize=1)
def _workers(url: str, moment: int) -> int:
    """The arguments are what the answer is kept for."""
    try:
        with attendance.impatient_redis() as client:
            return attendance.count_workers(client)
    except redis.RedisError:
        return 0
