"""/healthz: does everything work that a prompt needs on its way? Says which part does not, and why, in one word.

A container's probe asks /healthz?only=web: a web process must not be restarted because the bot is down.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from generations.models import Generation, Status
from generations.tasks import QUEUE
from telegram_bot import lease

# A prober gives up after a few seconds, so the answer must come sooner, also when Redis hangs.
TIMEOUT_SECONDS = 1.0
# A prompt that nobody takes for so long needs an operator; a worker that restarts loads its model meanwhile.
UNTAKEN = timedelta(seconds=60)

OK = "ok"


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    parts = look(WEB if request.GET.get("only") == "web" else PARTS)
    healthy = all(state == OK for state in parts.values())
    return JsonResponse({"status": OK if healthy else "unavailable", **parts}, status=200 if healthy else 503)


def look(parts: dict[str, Callable[[], str]]) -> dict[str, str]:
    """The state of each: "ok", or why not."""
    return {name: state() for name, state in parts.items()}


def database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "unreachable"
    return OK


def queue() -> str:
    try:
        with redis_client() as client:
            client.ping()
    except redis.RedisError:
        return "unreachable"
    return OK


def worker() -> str:
    """Does anybody render? Asked only while a prompt waits: an idle installation needs no GPU."""
    try:
        queued = Generation.objects.filter(status=Status.QUEUED, queued_at__lt=Now() - UNTAKEN)
        rendering = Generation.objects.filter(status=Status.RUNNING, lease_until__gt=Now())
        if not queued.exists() or rendering.exists():
            return OK
        with redis_client() as client:
            return OK if workers_alive(client) else "none_while_prompts_wait"
    except (DatabaseError, redis.RedisError):
        return "unknown"


def bot() -> str:
    """Does one serve, and may it?"""
    try:
        return lease.problem() or OK
    except DatabaseError:
        return "unknown"


def workers_alive(client: Any) -> bool:
    """RQ's own list, less those that have not been heard of for a minute or two. Redis' clock decides."""
    keys = client.smembers(WORKERS_BY_QUEUE_KEY % QUEUE)
    return bool(keys and client.exists(*keys))


@contextmanager
def redis_client() -> Any:
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


WEB: dict[str, Callable[[], str]] = {"database": database, "redis": queue}
PARTS = {**WEB, "worker": worker, "bot": bot}
