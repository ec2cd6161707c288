"""What was decided but not said yet. In the database: a flood is answered for minutes, and memory is no place for that.

Equal answers that wait in one chat go out as one, see Run: a person who sends a thousand messages a minute can be sent
sixty. Of refusals one a minute is enough, see notices.py.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from typing import Any

from django.db import transaction
from django.db.models import BigIntegerField, Case, Max, Min, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from .buttons import Form
from .models import ReceivedUpdate

# Answers given as one. More wait for the next.
LONGEST_RUN = 500
# A sender of its own process that has not come back for so long never will.
LOST_AFTER = timedelta(minutes=10)
# In the form of what is emptied when it is answered, as buttons.Form writes it.
FORGETS = '"forgets": true'


@dataclass(frozen=True)
class Decision:
    """What one update is answered: words in some form, or a job to be announced."""

    update_id: int
    answer: str = ""
    announces: int | None = None
    # As buttons.Form dumps it.
    form: str = ""


def decide(decisions: Sequence[Decision], error: str = "") -> int:
    """Write them down, in one statement. Those decided before stay as they are. Returns how many are new."""
    undecided = ReceivedUpdate.objects.filter(
        update_id__in=[decision.update_id for decision in decisions], decided_at__isnull=True
    )
    # In a flood most answers are the same refusal.
    words: dict[str, list[int]] = defaultdict(list)
    forms: dict[str, list[int]] = defaultdict(list)
    for each in decisions:
        words[each.answer].append(each.update_id)
        forms[each.form].append(each.update_id)
    shapes = [When(update_id__in=update_ids, then=Value(form)) for form, update_ids in forms.items() if form]
    answers = [When(update_id__in=update_ids, then=Value(text)) for text, update_ids in words.items()]
    jobs = [When(update_id=each.update_id, then=Value(each.announces)) for each in decisions if each.announces]
    return undecided.update(
        decided_at=timezone.now(),
        answer=Case(*answers, default=Value("")),
        form=Case(*shapes, default=Value("")),
        announces=Case(*jobs, default=None, output_field=BigIntegerField()),
        owner="",
        lease_until=None,
        error=error[:2000],
    )


def due(most: int) -> list[str]:
    """Chats that may be answered now, whoever has waited longest first."""
    chats = _unsaid().values("chat").annotate(first=Min("update_id"), not_before=Max("lease_until"))
    free = Q(not_before__isnull=True) | Q(not_before__lt=Now())
    return [row["chat"] for row in chats.filter(free).order_by("first")[:most]]


@dataclass(frozen=True)
class Run:
    """Updates of one chat, one after the other, that one message answers: the last one's reply stands for all."""

    rows: list[ReceivedUpdate]

    @property
    def last(self) -> ReceivedUpdate:
        return self.rows[-1]

    @property
    def notice(self) -> tuple[Any, ...] | None:
        """Equal for refusals by the same rule, to the same person in the same topic. None for any other answer."""
        return _addressee(self.last) if Form.load(self.last.form).refusal else None

    def begin(self) -> bool:
        """Just before it goes out: an answer whose fate is unknown is not sent again. False when another has begun."""
        # A transaction is three trips to the database, and one row needs none.
        with transaction.atomic() if len(self.rows) > 1 else nullcontext():
            begun = self._all().filter(answered_at__isnull=True).update(answered_at=timezone.now())
            if 0 < begun < len(self.rows):
                transaction.set_rollback(True)
            return begun == len(self.rows)

    def later(self, wait: float, reason: str) -> None:
        """It provably was not sent."""
        until = Now() + timedelta(seconds=wait)
        self._all().update(answered_at=None, lease_until=until, error=reason[:2000])

    def said(self, error: str = "") -> None:
        """It went out, or never will. An error of an earlier try to send goes, the handler's stays."""
        if FORGETS in self.last.form:
            empty(self._all())
            return
        changed = {"error": error[:2000]} if error or self.last.lease_until is not None else {}
        self._all().update(handled_at=timezone.now(), lease_until=None, **changed)

    def _all(self) -> QuerySet[ReceivedUpdate]:
        return ReceivedUpdate.objects.filter(pk__in=[row.pk for row in self.rows], handled_at__isnull=True)


def next_run(chat: str) -> Run | None:
    """The oldest unsaid answer of a chat, and all that follow it at once with the same words for the same person."""
    rows = list(_unsaid().filter(chat=chat).order_by("update_id")[:LONGEST_RUN])
    if not rows:
        return None
    first = rows[0]
    if first.announces is not None or _is_press(first):
        return Run([first])
    same = takewhile(lambda row: row.announces is None and _addressee(row) == _addressee(first), rows)
    return Run(list(same))


def close_unknown(older_than: timedelta = timedelta()) -> int:
    """Whoever was sending these is dead. They may have arrived, so they are not sent again."""
    begun = ReceivedUpdate.objects.filter(handled_at__isnull=True, answered_at__lte=timezone.now() - older_than)
    return begun.update(handled_at=timezone.now(), lease_until=None)


def reopen(user_id: int, mark: str) -> int:
    """Handle once more what this person wrote in private and was answered with a form that holds the mark.

    Returns how many those are. What is not answered yet stays, for its answer may be on its way.
    """
    answered = ReceivedUpdate.objects.filter(chat=str(user_id), form__contains=mark, handled_at__isnull=False)
    anew = {"decided_at": None, "answered_at": None, "handled_at": None, "attempts": 0, "answer": "", "form": ""}
    # As if it came now: a speaker gives up on what is too old.
    return answered.update(**anew, received_at=timezone.now(), error="", owner="", lease_until=None)


def empty(rows: QuerySet[ReceivedUpdate]) -> int:
    """Done with, and nothing is left in them but their numbers, by which a repeated update is known."""
    now = timezone.now()
    nothing = {"chat": "", "answer": "", "announces": None, "form": "", "error": "", "owner": "", "lease_until": None}
    return rows.update(payload="{}", decided_at=now, handled_at=now, **nothing)


def empty_forgotten() -> int:
    """Those that were to be emptied when they were answered, and whose answering process died, or had begun before."""
    handled = ReceivedUpdate.objects.filter(handled_at__isnull=False)
    return empty(handled.filter(form__contains=FORGETS))


def _unsaid() -> QuerySet[ReceivedUpdate]:
    return ReceivedUpdate.objects.filter(decided_at__isnull=False, handled_at__isnull=True, answered_at__isnull=True)


def _is_press(row: ReceivedUpdate) -> bool:
    """What it is answered concerns the message with the button."""
    return "callback_query" in json.loads(row.payload)


def _addressee(row: ReceivedUpdate) -> tuple[Any, ...]:
    """The words and their form, whom they are for, and the topic. A press has no message, so none equals it."""
    message = json.loads(row.payload).get("message")
    if not isinstance(message, dict):
        return (row.update_id,)
    sender = message.get("sender_chat") or message.get("from")
    sender_id = sender.get("id") if isinstance(sender, dict) else None
    # The words of a refusal may say how late it is.
    refusal = Form.load(row.form).refusal
    return "" if refusal else row.answer, row.form, sender_id, message.get("message_thread_id")
