"""One process at a time fetches a bot's updates. Telegram itself only lets two of them fail in turns (409)."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from .models import PollingLease

# Renewed three times in its life; a killed process holds up its successor no longer than this.
LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5.0


def own_name() -> str:
    """This process, as it appears in the database."""
    return f"bot {socket.gethostname()}:{os.getpid()}"


def take(bot_id: str, owner: str) -> str:
    """Take the lease, or give the name of the process that holds it ("" means it is ours)."""
    fresh = {"owner": owner, "lease_until": Now() + LEASE}
    lease, made = PollingLease.objects.get_or_create(bot_id=bot_id, defaults=fresh)
    if made or renew(bot_id, owner):
        return ""
    free = Q(lease_until__lt=Now())
    if _dead(lease.owner):
        free |= Q(owner=lease.owner)
    won = PollingLease.objects.filter(free, bot_id=bot_id).update(**fresh)
    return "" if won else lease.owner


def renew(bot_id: str, owner: str) -> bool:
    """False when another process has taken the lease: ours had lapsed."""
    return PollingLease.objects.filter(bot_id=bot_id, owner=owner).update(lease_until=Now() + LEASE) == 1


def release(bot_id: str, owner: str) -> None:
    PollingLease.objects.filter(bot_id=bot_id, owner=owner).delete()


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
