"""What Telegram sent about one person: given out when that person asks, and emptied when everything is to go.

Emptied, not deleted: an update that Telegram repeats is known by its number, which says nothing of anybody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet

from generations.erasing import Messages

from . import outbox
from .buttons import Form
from .models import ReceivedUpdate

Json = dict[str, Any]

# Rows per UPDATE; SQLite takes 999 parameters at least.
AT_ONCE = 500


def of_person(user_id: int) -> list[Json]:
    """What the person wrote and pressed, as Telegram sent it, the oldest first."""
    rows = _perhaps(user_id, {}).order_by("update_id")
    read = ((row, json.loads(row.payload)) for row in rows.iterator())
    return [{"at": row.received_at, "update": update} for row, update in read if _is_from(update, user_id)]


def forget(user_id: int, messages: Messages) -> int:
    """Empty what comes from this person and what speaks of them, in groups. Returns how many.

    What is not answered yet is emptied when it is. What is not even decided came later than the wish, and stays.
    """
    done: list[int] = []
    owed: list[ReceivedUpdate] = []
    for row in _perhaps(user_id, messages).filter(decided_at__isnull=False).iterator():
        update = json.loads(row.payload)
        if not _is_from(update, user_id) and not _speaks_of(update, user_id, messages):
            continue
        if row.handled_at is None:
            owed.append(row)
        else:
            done.append(row.pk)
    done += [row.pk for row in owed if not _empty_later(row)]
    for start in range(0, len(done), AT_ONCE):
        outbox.empty(ReceivedUpdate.objects.filter(pk__in=done[start : start + AT_ONCE]))
    return len({*done, *(row.pk for row in owed)})


def _empty_later(row: ReceivedUpdate) -> bool:
    """False when it was answered meanwhile."""
    form = Form.load(row.form).forgetting().dump()
    return ReceivedUpdate.objects.filter(pk=row.pk, handled_at__isnull=True).update(form=form) == 1


def _perhaps(user_id: int, messages: Messages) -> QuerySet[ReceivedUpdate]:
    """Those that may be about the person: more than are."""
    wanted = Q(chat=str(user_id))
    for number in (user_id, *messages):
        wanted |= Q(payload__contains=f'"id": {number}')
    return ReceivedUpdate.objects.filter(wanted)


def _is_from(update: Json, user_id: int) -> bool:
    """As addressing.person_of and press_of: a chat that writes under its own name is a person, too."""
    parts = [part for part in update.values() if isinstance(part, dict)]
    return any(_id_of(part.get(sender)) == user_id for part in parts for sender in ("from", "sender_chat"))


def _speaks_of(node: object, user_id: int, messages: Messages) -> bool:
    """Is the person anywhere in it, as the author of what is quoted for example, or a message with their prompt?"""
    for part in _parts(node):
        place = _id_of(part.get("chat"))
        if part.get("id") == user_id or (place is not None and part.get("message_id") in messages.get(place, ())):
            return True
    return False


def _parts(node: object) -> Iterator[Json]:
    """Every object in it."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _id_of(node: object) -> int | None:
    number = node.get("id") if isinstance(node, dict) else None
    return number if isinstance(number, int) else None
