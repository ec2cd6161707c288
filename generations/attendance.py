"""Is anybody there to render? Asked of the database and the queue server, because a worker reports to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import redis
from django.conf import settings
from django.db.models.functions import Now
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from generations.models import Generation, Status
from generations.tasks import QUEUE

# Whoever asks gives up after a few seconds, so the answer must come sooner, also when Redis hangs.
TIMEOUT_SECONDS = 1.0
# A prompt that nobody takes for so long needs an operator; a worker that restarts loads its model meanwhile.
UNTAKEN = timedelta(seconds=60)


def is_missing() -> bool:
    """Does a prompt wait and wait, with no worker there? An idle installation needs none.

    Raises DatabaseError and redis.RedisError: then it is not known.
    """
    queued = Generation.objects.filter(status=Status.QUEUED, queued_at__lt=Now() - UNTAKEN)
    rendering = Generation.objects.filter(status=Status.RUNNING, lease_until__gt=Now())
    if not queued.exists() or rendering.exists():
        return False
    with impatient_redis() as client:
        return not workers_alive(client)


def workers_alive(client: redis.Redis) -> bool:
    return count_workers(client) > 0


def count_workers(client: redis.Redis) -> int:
    """RQ's own list, less those that have not been heard of for a minute or two. Redis' clock decides."""
    keys = client.smembers(WORKERS_BY_QUEUE_KEY % QUEUE)
    return int(client.exists(*keys)) if keys else 0


@contextmanager
def impatient_redis() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # redis-py's own default tries ten times.
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    finally:
        client.close()
