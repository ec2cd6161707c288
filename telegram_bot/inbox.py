"""Every update is stored once, before Telegram is told that we have it, and handled once, in order per chat."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from .models import ReceivedUpdate

logger = logging.getLogger(__name__)

Json = dict[str, Any]

# A handler that has not come back for this long belongs to a dead process.
LEASE = timedelta(seconds=120)
# Telegram repeats nothing that is older than a day.
KEEP = timedelta(days=7)
LARGEST_ID = 2**63 - 1
KINDS_WITH_CHAT = ("message", "edited_message", "channel_post", "edited_channel_post", "my_chat_member")


# --- storing


def store(updates: Iterable[Json]) -> int:
    """Keep updates as they came, in one transaction. Known ones stay as they are. Returns how many are new."""
    rows = []
    for update in updates:
        update_id = update.get("update_id") if isinstance(update, dict) else None
        if not isinstance(update_id, int) or not -LARGEST_ID <= update_id <= LARGEST_ID:
            logger.warning("Ignored an update without a usable number.")
            continue
        rows.append(ReceivedUpdate(update_id=update_id, chat=chat_of(update), payload=json.dumps(update)))
    with transaction.atomic():
        before = ReceivedUpdate.objects.filter(update_id__in=[row.update_id for row in rows]).count()
        ReceivedUpdate.objects.bulk_create(rows, ignore_conflicts=True)
    return len({row.update_id for row in rows}) - before


def chat_of(update: Json) -> str:
    """What keeps its updates in order: the chat, or the person who pressed something."""
    for kind, content in update.items():
        if isinstance(content, dict):
            place = content.get("chat") if kind in KINDS_WITH_CHAT else content.get("from")
            if isinstance(place, dict) and isinstance(place.get("id"), int):
                return str(place["id"])[:64]
    return ""


# --- who handles what


def waiting() -> QuerySet[ReceivedUpdate]:
    """Updates that may be handled now: the oldest of each chat, unless somebody has it."""
    earlier = ReceivedUpdate.objects.filter(
        chat=OuterRef("chat"), update_id__lt=OuterRef("update_id"), handled_at__isnull=True
    )
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
    return ReceivedUpdate.objects.filter(free, ~Exists(earlier), handled_at__isnull=True)


def claim(owner: str) -> ReceivedUpdate | None:
    """Take the oldest update that may be handled. None when there is none."""
    while True:
        row = waiting().order_by("update_id").first()
        if row is None:
            return None
        taken = {"owner": owner, "lease_until": Now() + LEASE, "attempts": F("attempts") + 1}
        if waiting().filter(pk=row.pk).update(**taken):
            row.refresh_from_db()
            return row


def finish(row: ReceivedUpdate, owner: str, error: str = "") -> bool:
    mine = ReceivedUpdate.objects.filter(pk=row.pk, owner=owner, handled_at__isnull=True)
    return mine.update(handled_at=timezone.now(), lease_until=None, error=error[:2000]) == 1


def try_again(row: ReceivedUpdate, owner: str, wait: float, error: str) -> None:
    mine = ReceivedUpdate.objects.filter(pk=row.pk, owner=owner, handled_at__isnull=True)
    mine.update(owner="", lease_until=Now() + timedelta(seconds=wait), error=error[:2000])


def release_all() -> int:
    """For the one process that polls, at its start: whoever held these is dead."""
    held = ReceivedUpdate.objects.filter(handled_at__isnull=True).exclude(owner="")
    return held.update(owner="", lease_until=None)


def forget_old() -> int:
    """Handled updates hold what people wrote; they are kept only as long as they may be repeated."""
    return ReceivedUpdate.objects.filter(handled_at__lt=timezone.now() - KEEP).delete()[0]


# --- the one answer


def begin_answer(update_id: int) -> bool:
    """May this update be answered? Yes once; also when it was never stored (a handler called by hand)."""
    mine = ReceivedUpdate.objects.filter(update_id=update_id)
    return mine.filter(answered_at=None).update(answered_at=timezone.now()) == 1 or not mine.exists()


def take_back_answer(update_id: int) -> None:
    """It provably was not sent."""
    ReceivedUpdate.objects.filter(update_id=update_id).update(answered_at=None)
