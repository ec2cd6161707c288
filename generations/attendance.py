"""Is anybody there to render? Asked of the database and the queue server, because a worker reports to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import redis
from django.conf import settings
from django.db.models.functions import Now
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Worker as RqWorker
from rq.utils import utcparse
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from generations.models import Generation, Status
from generations.tasks import QUEUE

# Whoever asks gives up after a few seconds, so the answer must come sooner, also when Redis hangs.
TIMEOUT_SECONDS = 1.0
# A prompt that nobody takes for so long needs an operator; a worker that restarts loads its model meanwhile.
UNTAKEN = timedelta(seconds=60)
# Beside what RQ itself keeps of a worker: what it renders on, see worker.py.
DEVICE = "t2v_device"


@dataclass(frozen=True)
class Attendant:
    """A worker as the queue server knows it. device: with its memory, in words; "" when it has said nothing yet."""

    name: str
    device: str
    heard_at: datetime | None


def is_missing() -> bool:
    """Does a prompt wait and wait, with no worker there? An idle installation needs none.

    Raises DatabaseError and redis.RedisError: then it is not known.
    """
    queued = Generation.objects.filter(status=Status.QUEUED, queued_at__lt=Now() - UNTAKEN)
    return queued.exists() and is_deserted()


def is_deserted() -> bool:
    """Is no worker there at all, though none may be needed just now? Raises DatabaseError and redis.RedisError."""
    if Generation.objects.filter(status=Status.RUNNING, lease_until__gt=Now()).exists():
        return False
    with impatient_redis() as client:
        return not workers_alive(client)


def workers_alive(client: redis.Redis) -> bool:
    return count_workers(client) > 0


def count_workers(client: redis.Redis) -> int:
    return len(workers(client))


def workers(client: redis.Redis) -> list[Attendant]:
    """RQ's own list, less those that have not been heard of for a minute or two. Redis' clock decides."""
    # Bytes, as long as nobody asks redis-py for text.
    keys: list[bytes] = sorted(cast(set[bytes], client.smembers(WORKERS_BY_QUEUE_KEY % QUEUE)))
    with client.pipeline(transaction=False) as asked:
        for key in keys:
            asked.hmget(key, "last_heartbeat", DEVICE)
        heard_of = asked.execute()
    return [_attendant(key, *facts) for key, facts in zip(keys, heard_of, strict=True) if any(facts)]


def _attendant(key: bytes, heard_at: bytes | None, device: bytes | None) -> Attendant:
    name = key.decode().removeprefix(RqWorker.redis_worker_namespace_prefix)
    when = utcparse(heard_at.decode()) if heard_at else None
    return Attendant(name, (device or b"").decode(errors="replace"), when)


def process_of(name: str) -> str:
    """Host and process of a worker, whichever of its names this is: the one in RQ, or the owner of its leases."""
    return name.rpartition(".")[0] or name


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
