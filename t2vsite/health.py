"""/healthz: does everything work that a prompt needs on its way? Says which part does not, and why, in one word.

A container's probe asks /healthz?only=web: a web process must not be restarted because the bot is down.
"""

from __future__ import annotations

from collections.abc import Callable

import redis
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from generations import attendance
from telegram_bot import lease, texts
from telegram_bot.models import Alert

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
        with attendance.impatient_redis() as client:
            client.ping()
    except redis.RedisError:
        return "unreachable"
    return OK


def worker() -> str:
    try:
        return "none_while_prompts_wait" if attendance.is_missing() else OK
    except (DatabaseError, redis.RedisError):
        return "unknown"


def bot() -> str:
    """Does one serve, and may it?"""
    try:
        return lease.problem() or OK
    except DatabaseError:
        return "unknown"


def told() -> list[str]:
    """What else the bot has told operators and is not over, in words: what no look from here can see."""
    lasting = Alert.objects.filter(recovered_at=None, told_at__isnull=False).exclude(kind__in=PARTS).order_by("pk")
    return [texts.alert(alert.kind, alert.state, alert.facts) for alert in lasting]


WEB: dict[str, Callable[[], str]] = {"database": database, "redis": queue}
PARTS = {**WEB, "worker": worker, "bot": bot}
