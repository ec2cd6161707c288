"""What delivery reads from and writes to the database. Synchronous; each function is one step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import BigIntegerField, Case, F, Q, TextField, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from generations.models import UNFINISHED, Delivery, Generation, Status

from .. import languages, texts
from .outlook import Outlook

# A video that is faster than its own "Queued" waits for it this long, so that one message is enough for both.
ANNOUNCEMENT = timedelta(seconds=60)
# Status messages looked at together: those that are next, and so many further back. All of a queue of 100,000 would
# take seconds, and so few are edited in a second that most of them would change again first.
NEXT = 500
FURTHER = 500


@dataclass(frozen=True)
class StatusEdit:
    """A status message that no longer tells the truth."""

    pk: int
    chat_id: int
    message_id: int
    text: str
    rendering: bool
    language: str
    # Made, and nobody can cancel it any more.
    held: bool = False


# --- the status message


def before_announcing(pk: int) -> str:
    """The text of the status message; "" when the row has one, its result is already on the way, or it is gone."""
    row = Generation.objects.filter(pk=pk).select_related("requester").first()
    if row is None:
        return ""
    if row.status_message_id is not None or (row.is_finished and row.delivery != Delivery.HELD):
        # Nothing will be announced any more, so the result has nothing to wait for.
        Generation.objects.filter(pk=pk, delivery_attempts=0).update(deliver_after=None)
        return ""
    # Most answers go out at once, and the time that the row was given when it was accepted is still long enough.
    if row.deliver_after is None or row.deliver_after < timezone.now() + ANNOUNCEMENT / 2:
        Generation.objects.filter(pk=pk, delivery=Delivery.NONE).update(deliver_after=Now() + ANNOUNCEMENT)
    outlook = Outlook.of_one_just_accepted(row)
    with languages.speaking(_language_of(row)):
        if row.status == Status.RUNNING:
            # A worker was faster than this answer, which still is the word that the prompt was accepted.
            return texts.queued(1, len(outlook.positions) + 1, outlook.left.get(pk))
        return outlook.status(row)


def announced(pk: int, message_id: int | None, text: str) -> None:
    """The status message went out, or never will: the result need not wait for it any longer."""
    changes: dict[str, Any] = {"deliver_after": Case(When(delivery_attempts=0, then=None), default=F("deliver_after"))}
    if message_id is not None:
        # Sent already as a message of its own if it did not wait after all.
        free = Q(status_message_id=None) & ~Q(delivery__in=[Delivery.SENDING, Delivery.DELIVERED])
        changes |= {
            "status_message_id": Case(
                When(free, then=Value(message_id)), default=F("status_message_id"), output_field=BigIntegerField()
            ),
            "status_text": Case(When(free, then=Value(text)), default=F("status_text"), output_field=TextField()),
        }
    Generation.objects.filter(pk=pk).update(**changes)


def stale_statuses(turn: int = 0) -> list[StatusEdit]:
    """Status messages to edit, the most awaited first. Of a long queue each turn looks at other ones of its end."""
    outlook = Outlook.now()
    order = list(outlook.positions)
    begin = NEXT + turn * FURTHER % max(len(order) - NEXT, 1)
    waiting = [*order[:NEXT], *order[begin : begin + FURTHER]]
    unfinished = Q(status=Status.RUNNING) | Q(status__in=UNFINISHED, pk__in=waiting)
    held = Generation.objects.filter(delivery=Delivery.HELD).order_by("-pk").values_list("pk", flat=True)[:NEXT]
    told = Generation.objects.filter(chat_id__isnull=False, status_message_id__isnull=False)
    rows = told.filter(unfinished | Q(pk__in=list(held)))
    edits = []
    asker = ("requester__language", "requester__language_code")
    shown = ("status_message_id", "status_text", "status", "delivery", "progress", "shortfall", "results")
    for row in rows.select_related("requester").only("chat_id", *shown, *asker):
        language = _language_of(row)
        with languages.speaking(language):
            text = outlook.status(row)
        if text != row.status_text and row.chat_id is not None and row.status_message_id is not None:
            running = row.status == Status.RUNNING
            held_now = row.delivery == Delivery.HELD
            edits.append(StatusEdit(row.pk, row.chat_id, row.status_message_id, text, running, language, held_now))
    return sorted(edits, key=lambda edit: (not edit.rendering, outlook.positions.get(edit.pk, 0)))


def still_waited_for(pk: int) -> bool:
    return Generation.objects.filter(Q(status__in=UNFINISHED) | Q(delivery=Delivery.HELD), pk=pk).exists()


def status_shown(edit: StatusEdit) -> None:
    Generation.objects.filter(pk=edit.pk, status_message_id=edit.message_id).update(status_text=edit.text)


def _language_of(row: Generation) -> str:
    return languages.of(row.requester.language, row.requester.language_code)


def forget_status(pk: int, message_id: int) -> None:
    """The person deleted it, or it can no longer be edited."""
    Generation.objects.filter(pk=pk, status_message_id=message_id).update(status_message_id=None, status_text="")


# --- the result


def claim(owner: str, avoid: Collection[int]) -> Generation | None:
    """The next result to hand over, in none of these chats."""
    return Generation.objects.exclude(chat_id__in=list(avoid)).claim_delivery(owner)


def shorten_waits() -> None:
    """A clock that was set back would prolong every wait by as much; so each lasts from now at most."""
    waiting = Generation.objects.filter(delivery=Delivery.WAITING, deliver_after__gt=Now())
    for row in waiting.filter(delivery_lease_until__gt=Now()).only("deliver_after", "delivery_lease_until"):
        if row.deliver_after is not None and row.delivery_lease_until is not None:
            whole = max(row.deliver_after - row.delivery_lease_until, timedelta())
            again = {"deliver_after": Now() + whole, "delivery_lease_until": Now()}
            waiting.filter(pk=row.pk, deliver_after=row.deliver_after).update(**again)
    unannounced = Generation.objects.filter(delivery_attempts=0, deliver_after__gt=Now() + 2 * ANNOUNCEMENT)
    unannounced.update(deliver_after=Now() + ANNOUNCEMENT)


def release_all(owner: str) -> int:
    """For the one bot process, at its start: whoever else was sending is dead. Returns how many are free again."""
    held = Generation.objects.filter(delivery=Delivery.SENDING).exclude(delivery_owner=owner)
    held.update(delivery_lease_until=Now() - timedelta(seconds=1))
    return sum(row.recover_delivery() for row in held)
