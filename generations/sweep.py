"""Puts right what a killed process left behind. Runs every few seconds inside the bot, and in idle workers."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import redis
from django.db.models.functions import Now

from generations import deleted_files, tasks
from generations.models import Delivery, Generation, Status

logger = logging.getLogger(__name__)


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


def sweep() -> SweepResult:
    """Recover lapsed leases and deliveries, ring when rows wait without a bell. Safe to run anywhere, twice."""
    outcomes: list[str] = []
    for row in Generation.objects.filter(status=Status.RUNNING, lease_until__lt=Now()):
        if _recover(row):
            outcomes.append(row.status)
    stuck = Generation.objects.filter(delivery=Delivery.SENDING, delivery_lease_until__lt=Now())
    deliveries = sum(row.recover_delivery() for row in stuck)
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
