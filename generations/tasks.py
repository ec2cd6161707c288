"""The RQ job. RQ only rings: it carries no prompt and no rule."""

from __future__ import annotations

import logging
import secrets

import django_rq
import redis
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue

from generations.models import Delivery, Generation

logger = logging.getLogger(__name__)

QUEUE = "gpu"
JOB = "generations.tasks.run_generations"


def run_generations() -> None:
    """The RQ job: render the row whose turn it is, or first make a finished video smaller that is too large to be sent.

    With nothing to do it returns quietly, as the rings of rows do that were rendered together with another one.

    One ring is one row, so RQ's time limit speaks of one video: several that take longer together are put back, and
    rendered one by one. A ring may be lost (Redis restarted, a worker killed between pop and start), so after every
    render the bell is passed on while rows wait without one.
    """
    from generations import reencoding, rendering

    if reencoding.shrink_next() or rendering.render_next():
        try:
            ring_if_silent()
        except redis.RedisError as error:
            logger.warning("Could not pass the bell on: %s", type(error).__name__)


def ring(generation: Generation, work: str = "gen") -> None:
    """Wake a worker once the surrounding transaction has committed."""
    job_id = f"{work}-{generation.pk}-{generation.attempt}"
    transaction.on_commit(lambda: _enqueue(job_id))


def ring_if_silent() -> bool:
    """Ring for the next row when rows wait and no ring does. Raises redis.RedisError.

    Never floods: as long as one ring waits, none is added. Whether RQ runs something does not matter: that job was
    rung for another row.
    """
    too_large = Generation.objects.filter(delivery=Delivery.TOO_LARGE)
    waiting = Generation.objects.in_fair_order().first() or too_large.first()
    if waiting is None:
        return False
    queue = _queue()
    if queue.count:
        return False
    # A fresh id: RQ may still hold a job of the usual one in another state.
    queue.enqueue(JOB, job_id=f"gen-{waiting.pk}-{waiting.attempt}-{secrets.token_hex(3)}", **_KEPT)
    return True


# A finished ring is of no interest; a failed one is worth a look for a day.
_KEPT = {"result_ttl": 60, "failure_ttl": 86400}


def _queue() -> Queue:
    queue = django_rq.get_queue(QUEUE)
    # The caller may be answering a person: ten patient tries would keep them waiting, and the sweep rings again anyway.
    queue.connection.set_retry(Retry(NoBackoff(), 1))
    return queue


def _enqueue(job_id: str) -> None:
    try:
        _queue().enqueue(JOB, job_id=job_id, **_KEPT)
    except redis.RedisError as error:
        # The row is committed, so nothing is lost: the sweep rings again when Redis is back.
        logger.warning("Could not ring the queue for %s: %s", job_id, type(error).__name__)
