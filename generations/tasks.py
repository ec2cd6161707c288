"""The RQ job. RQ only rings: it carries no prompt and no rule."""

from __future__ import annotations

import logging

import django_rq
import redis
from django.db import transaction

from generations.models import Generation

logger = logging.getLogger(__name__)

QUEUE = "gpu"
JOB = "generations.tasks.run_generations"


def ring(generation: Generation) -> None:
    """Wake a worker once the surrounding transaction has committed."""
    job_id = f"gen-{generation.pk}-{generation.attempt}"
    transaction.on_commit(lambda: _enqueue(job_id))


def _enqueue(job_id: str) -> None:
    try:
        django_rq.get_queue(QUEUE).enqueue(JOB, job_id=job_id, result_ttl=60, failure_ttl=86400)
    except redis.RedisError as error:
        # The row is committed, so nothing is lost: the sweep rings again when Redis is back.
        logger.warning("Could not ring the queue for %s: %s", job_id, type(error).__name__)
