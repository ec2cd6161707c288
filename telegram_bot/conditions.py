"""What operators are alerted to, and from when on. Every threshold of the alerts is here, or named here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import redis

from generations import attendance, limits, operating, overview, reviewing
from t2vsite import health

from . import lease, review_requests

# Whatever is wrong must be wrong for two minutes before it is told. What is below comes first: attendance.UNTAKEN, a
# minute, for prompts that no worker takes, and lease.LASTING, a minute, for what keeps the bot from serving.
LASTING = timedelta(minutes=2)
# Nobody waits: a machine that is being updated need not ring a phone.
NO_WORKER_LASTING = timedelta(minutes=10)
# A gigabyte, some thousand videos. Below limits.LEAST_FREE, 50 MB, prompts are refused.
LOW_DISK = 1_000_000_000
# Five failures in ten minutes, and they are more than half of all that ended.
BURST = 5
BURST_WITHIN = timedelta(minutes=10)
# A result that was tried three times and is ready for ten minutes.
STUCK_TRIES = 3
STUCK_FOR = timedelta(minutes=10)


@dataclass(frozen=True)
class Finding:
    """Something is wrong: what, in one word, and numbers for the words of texts.alert()."""

    state: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    lasting: timedelta = LASTING


def look() -> dict[str, Finding | None]:
    """By kind, what is wrong; None: nothing. Of a kind that is not there nothing is known at this moment."""
    return dict(_look())


def _look() -> Iterator[tuple[str, Finding | None]]:
    parts = health.look({name: health.PARTS[name] for name in ("redis", "worker", "bot")})
    yield "redis", _unless_well(parts["redis"])
    if parts["worker"] == health.OK:
        with suppress(redis.RedisError):
            deserted = attendance.is_deserted()
            # Whoever works on the workers pauses the intake first.
            if not (deserted and operating.is_paused()):
                yield "worker", Finding("none", lasting=NO_WORKER_LASTING) if deserted else None
    elif parts["worker"] != "unknown":
        yield "worker", Finding(parts["worker"])
    # This very process is the bot; only its lease may have been late.
    if parts["bot"] not in ("unknown", lease.NOT_RUNNING):
        yield "bot", _unless_well(parts["bot"])
    yield "disk", _disk()
    yield from _failures()
    yield "delivery", _delivery()
    yield "review", _review()


def _unless_well(state: str) -> Finding | None:
    return None if state == health.OK else Finding(state)


def _disk() -> Finding | None:
    free = limits.free_space()
    return Finding("low", {"free": free, "least": limits.LEAST_FREE}) if free is not None and free < LOW_DISK else None


def _failures() -> Iterator[tuple[str, Finding | None]]:
    lately = overview.outcomes(BURST_WITHIN)
    if lately.failed >= BURST and lately.failed > lately.made:
        facts = {"failed": lately.failed, "all": lately.failed + lately.made, "minutes": _minutes(BURST_WITHIN)}
        yield "failures", Finding("burst", facts)
    # That nobody asks for anything any more is no proof that it works again.
    elif lately.made or not overview.outcomes(overview.LATELY).failed:
        yield "failures", None


def _delivery() -> Finding | None:
    number, reason = overview.undelivered(STUCK_TRIES, STUCK_FOR)
    return Finding("stuck", {"number": number, "minutes": _minutes(STUCK_FOR), "reason": reason}) if number else None


def _review() -> Finding | None:
    """More than are shown with buttons: the others wait in the admin's inbox, where nobody may be looking."""
    number = reviewing.waiting().count()
    return Finding("crowd", {"number": number}) if number > review_requests.SHOWN else None


def _minutes(time: timedelta) -> int:
    return int(time.total_seconds() // 60)
