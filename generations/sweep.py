"""Puts right what a killed process left behind. Runs every few seconds inside the bot, and in idle workers."""

from __future__ import annotations

from dataclasses import dataclass

import redis
from django.db.models.functions import Now

from generations import tasks
from generations.models import Delivery, Generation, Status


@dataclass(frozen=True)
class SweepResult:
    """How many rows were put right. problem is what stood in the way ("" when nothing did)."""

    requeued: int = 0
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
            f"{self.requeued} queued again, {self.failed} failed, {self.cancelled} cancelled, "
            f"{self.deliveries} deliveries released, {bell}"
        )


def sweep() -> SweepResult:
    """Recover lapsed leases and deliveries, ring when rows wait without a bell. Safe to run anywhere, twice."""
    outcomes: list[str] = []
    for row in Generation.objects.filter(status=Status.RUNNING, lease_until__lt=Now()):
        if row.recover():
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
        failed=outcomes.count(Status.FAILED),
        cancelled=outcomes.count(Status.CANCELLED),
        deliveries=deliveries,
        rang=rang,
        problem=problem,
    )
