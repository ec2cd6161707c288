"""Puts right what a killed process left behind. Runs every few seconds inside the bot, and in idle workers."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from datetime import datetime

import redis
from django.db.models.functions import Now

from generations import deleted_files, models, tasks
from generations.models import Delivery, Generation, Status

logger = logging.getLogger(__name__)

# When the clock jumps forward, the leases of the living look lapsed too, until they are renewed: every 5 seconds.
CLOCK_JUMP = 12.0
# What looked lapsed, and since when by the clock that never jumps.
_looked_lapsed_since: dict[tuple[int, datetime | None], float] = {}


@dataclass(frozen=True)
class SweepResult:
    """How many rows were put right. problem is what stood in the way ("" when nothing did)."""

    requeued: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    deliveries: int = 0
    rang: bool = False
    problem: str = ""

    def __bool__(self) -> bool:
        """Was there anything to do or to complain about?"""
        return self != SweepResult()

    def __str__(self) -> str:
        bell = f"no bell rung ({self.problem})" if self.problem else f"{int(self.rang)} bell rung"
        return (
            f"{self.requeued} queued again, {self.finished} finished, {self.failed} failed, "
            f"{self.cancelled} cancelled, {self.deliveries} deliveries released, {bell}"
        )


def sweep_patiently() -> SweepResult:
    """For processes that sweep all day. A lease must look lapsed twice, CLOCK_JUMP apart: the clock may have jumped."""
    return sweep(patience=CLOCK_JUMP)


def sweep(*, patience: float = 0.0) -> SweepResult:
    """Recover lapsed leases and deliveries, ring when rows wait without a bell. Safe to run anywhere, twice."""
    _shorten_leases_of_another_time()
    rendering = list(Generation.objects.filter(status=Status.RUNNING, lease_until__lt=Now()))
    sending = list(Generation.objects.filter(delivery=Delivery.SENDING, delivery_lease_until__lt=Now()))
    now, before = time.monotonic(), dict(_looked_lapsed_since)
    leases = [
        *((row.pk, row.lease_until) for row in rendering),
        *((row.pk, row.delivery_lease_until) for row in sending),
    ]
    _looked_lapsed_since.clear()
    _looked_lapsed_since.update({lease: before.get(lease, now) for lease in leases})
    lapsed = {lease for lease, since in _looked_lapsed_since.items() if now - since >= patience}
    outcomes = [row.status for row in rendering if (row.pk, row.lease_until) in lapsed and _recover(row)]
    deliveries = sum(row.recover_delivery() for row in sending if (row.pk, row.delivery_lease_until) in lapsed)
    rang, problem = False, ""
    try:
        rang = tasks.ring_if_silent()
    except redis.RedisError as error:
        problem = f"the queue does not answer: {type(error).__name__}"
    return SweepResult(
        requeued=outcomes.count(Status.QUEUED),
        finished=outcomes.count(Status.SUCCEEDED),
        failed=outcomes.count(Status.FAILED),
        cancelled=outcomes.count(Status.CANCELLED),
        deliveries=deliveries,
        rang=rang,
        problem=problem,
    )


def _shorten_leases_of_another_time() -> None:
    """When the clock was set back, a dead worker's lease would hold for as long as the jump."""
    rendering = Generation.objects.filter(status=Status.RUNNING, lease_until__gt=Now() + 2 * models.LEASE)
    rendering.update(lease_until=Now() + models.LEASE)
    sending = Generation.objects.filter(
        delivery__in=[Delivery.SENDING, Delivery.TOO_LARGE], delivery_lease_until__gt=Now() + 2 * models.DELIVERY_LEASE
    )
    sending.update(delivery_lease_until=Now() + models.DELIVERY_LEASE)


def _recover(row: Generation) -> bool:
    names = [name for name in (row.file.name, row.poster.name) if name]
    try:
        whole = _is_stored_whole(row)
    except Exception as error:
        # A storage that does not answer says nothing about the video. The next sweep asks again.
        logger.warning("#%s: the storage does not answer: %s", row.pk, type(error).__name__)
        return False
    recovered = row.recover(video_is_whole=whole)
    if recovered and row.status != Status.SUCCEEDED:
        deleted_files.delete(names)
    return recovered


def _is_stored_whole(row: Generation) -> bool:
    """Did the worker store the very video that it had announced before it died?"""
    if not row.file.name or not row.file.storage.exists(row.file.name):
        return False
    with row.file.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == row.sha256
