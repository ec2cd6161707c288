"""Every update is stored once, before Telegram is told that we have it, and handled once, in order per chat."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import Now, RowNumber
from django.utils import timezone

from . import outbox
from .models import ReceivedUpdate

logger = logging.getLogger(__name__)

Json = dict[str, Any]

# A handler that has not come back for this long belongs to a dead process.
LEASE = timedelta(seconds=120)
# Telegram repeats nothing that is older than a day.
KEEP = timedelta(days=7)
LARGEST_ID = 2**63 - 1
# Before the person's number.
INLINE = "inline "
EDITED = "edited_message"
# Parts of an album come one after the other. Updates of other chats may come between them.
ALBUM_SPAN = 500
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
    """What keeps its updates in order: the chat, or the person who pressed something.

    Inline queries are nobody's turn to wait for: they have a line of their own for each person.
    """
    for kind, content in update.items():
        if isinstance(content, dict):
            place = content.get("chat") if kind in KINDS_WITH_CHAT else content.get("from")
            if isinstance(place, dict) and isinstance(place.get("id"), int):
                line = f"{INLINE}{place['id']}" if kind == "inline_query" else str(place["id"])
                return line[:64]
    return ""


# --- what they said


def words_of(request_key: str) -> str:
    """Of the message that a job comes from; "" when it is no longer kept."""
    number = request_key.partition(":")[2]
    row = ReceivedUpdate.objects.filter(update_id=int(number)).first() if number.isdigit() else None
    return "" if row is None else _words(json.loads(row.payload).get("message"))


def edited_words(update_id: int) -> str:
    """What a message says since this edit of it, or a later one."""
    first = ReceivedUpdate.objects.filter(update_id=update_id).first()
    if first is None:
        return ""
    later = ReceivedUpdate.objects.filter(update_id__gte=update_id, chat=first.chat, payload__contains=EDITED)
    edits = [json.loads(row.payload).get(EDITED) for row in later.order_by("update_id")]
    number = json.loads(first.payload).get(EDITED, {}).get("message_id")
    same = [edit for edit in edits if isinstance(edit, dict) and edit.get("message_id") == number]
    return _words(same[-1]) if same else ""


def speaks_for_album(update_id: int, chat: str, album: str) -> bool:
    """Is this part of an album the one that is answered? The first; none where one has a caption, which is a prompt."""
    near = ReceivedUpdate.objects.filter(update_id__range=(update_id - ALBUM_SPAN, update_id + ALBUM_SPAN), chat=chat)
    rows = near.filter(payload__contains=json.dumps(album)).order_by("update_id")
    messages = [(row.update_id, json.loads(row.payload).get("message")) for row in rows]
    parts = {
        number: _words(message)
        for number, message in messages
        if isinstance(message, dict) and message.get("media_group_id") == album
    }
    return not any(parts.values()) and update_id == min(parts, default=update_id)


def _words(message: object) -> str:
    if not isinstance(message, dict):
        return ""
    return str(message.get("text") or message.get("caption") or "")


# --- who handles what


def waiting() -> QuerySet[ReceivedUpdate]:
    """Updates that may be handled now: none of a chat that has one in somebody's hands, or put off.

    Whole chats are left out, by one short list: whether an earlier one is held, asked of every row of a chat with
    thousands of them, took seconds.
    """
    held = _undecided().filter(lease_until__gte=Now())
    return _free().exclude(chat__in=held.values("chat"))


def claim(owner: str, most: int = 1) -> list[ReceivedUpdate]:
    """Take updates to handle, each chat's in order: everybody's first before anybody's second, the oldest first."""
    turn = Window(RowNumber(), partition_by="chat", order_by="update_id")
    numbers = list(waiting().annotate(turn=turn).order_by("turn", "update_id").values_list("pk", flat=True)[:most])
    taken = {"owner": owner, "lease_until": Now() + LEASE, "attempts": F("attempts") + 1}
    if not numbers or not _free().filter(pk__in=numbers).update(**taken):
        return []
    found = ReceivedUpdate.objects.in_bulk(numbers)
    rows = [found[number] for number in numbers if number in found]
    # Another process was faster with the beginning of a chat: the rest of it must wait for that.
    behind = {row.chat for row in rows if row.owner != owner}
    if behind:
        put_back([row for row in rows if row.chat in behind], owner)
    return [row for row in rows if row.chat not in behind]


def put_back(rows: Iterable[ReceivedUpdate], owner: str) -> None:
    """Not begun after all."""
    _mine(rows, owner).update(owner="", lease_until=None, attempts=F("attempts") - 1)


def finish(rows: Iterable[ReceivedUpdate], owner: str, error: str = "") -> int:
    """Those of them that want no answer are done. Returns how many."""
    now = timezone.now()
    return _mine(rows, owner).update(decided_at=now, handled_at=now, owner="", lease_until=None, error=error[:2000])


def is_inline(row: ReceivedUpdate) -> bool:
    return row.chat.startswith(INLINE)


def discard(row: ReceivedUpdate) -> None:
    """Nothing of it is kept, not even its number: handled again, it would do no harm."""
    ReceivedUpdate.objects.filter(pk=row.pk).delete()


def try_again(row: ReceivedUpdate, owner: str, wait: float, error: str) -> None:
    _mine([row], owner).update(owner="", lease_until=Now() + timedelta(seconds=wait), error=error[:2000])


def release_all() -> int:
    """For the one process that polls, at its start: whoever held these is dead."""
    outbox.close_unknown()
    return _undecided().exclude(owner="").update(owner="", lease_until=None)


def _undecided() -> QuerySet[ReceivedUpdate]:
    return ReceivedUpdate.objects.filter(decided_at__isnull=True)


def _free() -> QuerySet[ReceivedUpdate]:
    return _undecided().filter(Q(lease_until__isnull=True) | Q(lease_until__lt=Now()))


def shorten_waits() -> int:
    """Of another time: the clock was set back since. Where Telegram wants a longer wait, the limiter holds the call."""
    long = ReceivedUpdate.objects.filter(handled_at__isnull=True, lease_until__gt=Now() + 2 * LEASE)
    return long.update(lease_until=Now() + LEASE)


def _mine(rows: Iterable[ReceivedUpdate], owner: str) -> QuerySet[ReceivedUpdate]:
    return _undecided().filter(pk__in=[row.pk for row in rows], owner=owner)


def forget_old() -> int:
    """Handled updates hold what people wrote; they are kept only as long as they may be repeated."""
    outbox.close_unknown(outbox.LOST_AFTER)
    outbox.empty_forgotten()
    return ReceivedUpdate.objects.filter(handled_at__lt=timezone.now() - KEEP).delete()[0]
