"""One process at a time fetches a bot's updates. Telegram itself only lets two of them fail in turns (409).

The lease is also the bot's sign of life, and says what keeps it from serving: /healthz reads it.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

from django.db.models import Case, F, Q, When
from django.db.models.functions import Now

from .models import PollingLease

# Renewed three times in its life; a killed process holds up its successor no longer than this.
LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5.0
# A bot whose lease lapsed so long ago is not just being restarted.
SILENCE = timedelta(seconds=30)
# Telegram fails for a moment now and then; an operator need not know.
LASTING = timedelta(seconds=60)

TOKEN_REFUSED = "token_refused"
NOT_RUNNING = "not_running"


def own_name() -> str:
    """This process, as it appears in the database."""
    return f"bot {socket.gethostname()}:{os.getpid()}"


def take(bot_id: str, owner: str) -> str:
    """Take the lease, or give the name of the process that holds it ("" means it is ours)."""
    # Of another time: the clock was set back since. A living holder renews it before it lapses.
    PollingLease.objects.filter(bot_id=bot_id, lease_until__gt=Now() + 2 * LEASE).update(lease_until=Now() + LEASE)
    fresh = {"owner": owner, "lease_until": Now() + LEASE}
    lease, made = PollingLease.objects.get_or_create(bot_id=bot_id, defaults=fresh)
    if made or renew(bot_id, owner):
        return ""
    free = Q(lease_until__lt=Now())
    if _dead(lease.owner):
        free |= Q(owner=lease.owner)
    won = PollingLease.objects.filter(free, bot_id=bot_id).update(**fresh)
    return "" if won else lease.owner or "another process"


def renew(bot_id: str, owner: str, problem: str | None = None) -> bool:
    """False when another process has taken the lease: ours had lapsed.

    problem: what keeps the bot from serving, "" when nothing does, None when that is not known yet.
    """
    changes: dict[str, Any] = {"lease_until": Now() + LEASE}
    if problem is not None:
        since = Case(When(problem=problem, then=F("problem_since")), default=Now())
        changes |= {"problem": problem, "problem_since": since}
    return PollingLease.objects.filter(bot_id=bot_id, owner=owner).update(**changes) == 1


def release(bot_id: str, owner: str, problem: str | None = None) -> None:
    """The row stays, for /healthz: a bot that is being restarted is not red at once."""
    if renew(bot_id, owner, problem):
        mine = PollingLease.objects.filter(bot_id=bot_id, owner=owner)
        mine.update(owner="", lease_until=Now() - timedelta(seconds=1))


def introduce(bot_id: str, username: str) -> None:
    """Remember the bot's name."""
    PollingLease.objects.filter(bot_id=bot_id).update(username=username)


def username() -> str:
    """The name of the bot that ran last, for links to it; "" when none has run yet."""
    named = PollingLease.objects.exclude(username="").order_by("-lease_until")
    return named.values_list("username", flat=True).first() or ""


def problem() -> str:
    """Why no bot serves, in one word; "" when one does."""
    alive = Q(lease_until__gt=Now() - SILENCE, lease_until__lte=Now() + 2 * LEASE)
    lasting = ~Q(problem="") & Q(problem_since__lt=Now() - LASTING)
    if PollingLease.objects.filter(alive).exclude(Q(problem=TOKEN_REFUSED) | lasting).exists():
        return ""
    newest = PollingLease.objects.filter(alive | Q(problem=TOKEN_REFUSED)).order_by("-lease_until").first()
    return newest.problem if newest else NOT_RUNNING


def menus_told(bot_id: str) -> str:
    """Which menus of commands Telegram has of us, as menus.py counts them."""
    return PollingLease.objects.filter(bot_id=bot_id).values_list("menus", flat=True).first() or ""


def tell_menus(bot_id: str, digest: str) -> None:
    PollingLease.objects.filter(bot_id=bot_id).update(menus=digest)


def _dead(owner: str) -> bool:
    """Was it a process of this machine that is no more? Elsewhere only time can tell."""
    host, _, pid = owner.removeprefix("bot ").rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
