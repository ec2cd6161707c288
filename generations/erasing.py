"""Everything of one person goes, for good. What stays: that somebody was erased, when, how much it was; and a ban.

RQ needs no cleaning: its jobs name rows by number and say nothing of people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import CharField, Q
from django.db.models.functions import Cast

from generations import audit_log
from generations.models import AskedPrompt, Erasure, Generation, Requester
from generations.services import Operator

# By chat, the numbers of messages that show what the person asked for. Others may have answered them.
Messages = Mapping[int, set[int]]

# What other apps keep of people they empty themselves: each adds a function from AppConfig.ready(). It is given the
# person's number and messages, is part of the transaction, and returns how many rows it emptied.
ELSEWHERE: list[Callable[[int, Messages], int]] = []

ERASED = audit_log.ERASED


@dataclass(frozen=True)
class Kept:
    """What there is of one person."""

    prompts: int
    videos: int


def kept(user_id: int) -> Kept:
    own = Generation.objects.filter(requester__user_id=user_id)
    return Kept(own.count(), own.exclude(file="").count())


def erase(user_id: int, *, by: Operator | None = None) -> Erasure | None:
    """Delete a person's rows and files, and stop what waits or runs. None when there was nothing.

    by: the operator who did it, None for the person. The files go after the commit. A worker that renders for this
    person finds its row gone, as after a cancel, and throws away what it has made.
    """
    with transaction.atomic():
        own = Generation.objects.filter(requester__user_id=user_id)
        # In the order in which a worker locks them when it takes a row: else the two could wait for each other.
        list(own.select_for_update(of=("self",)).only("pk"))
        requester = Requester.objects.select_for_update().filter(user_id=user_id).first()
        elsewhere = sum(forget(user_id, _messages(user_id)) for forget in ELSEWHERE)
        if requester is None:
            return None
        _blank_log(requester)
        if by is not None:
            audit_log.write("erased", requester, by=by)
        audit_log.forget(requester)
        _, deleted = own.delete()
        prompts = deleted.get("generations.Generation", 0)
        banned_at = requester.banned_at
        # What an erasure leaves of somebody banned has no name.
        nothing = banned_at is not None and not requester.display_name and not prompts
        requester.delete()
        if banned_at is not None:
            # Else whoever is banned would only have to ask for this.
            Requester.objects.create(user_id=user_id, banned_at=banned_at)
        if nothing:
            return None
        facts: dict[str, Any] = {"prompts": prompts, "updates": elsewhere, "by": by}
        return Erasure.objects.create(**facts)


def _messages(user_id: int) -> Messages:
    """Not those of the private chat: there everything is the person's."""
    found: dict[int, set[int]] = defaultdict(set)
    rows = Generation.objects.filter(requester__user_id=user_id).exclude(chat_id=user_id)
    names = ("chat_id", "prompt_message_id", "status_message_id", "delivered_message_id")
    for chat_id, *numbers in rows.values_list(*names):
        if chat_id is not None:
            found[chat_id] |= {number for number in numbers if number is not None}
    asked = AskedPrompt.objects.filter(requester__user_id=user_id).exclude(chat_id=user_id)
    for chat_id, number in asked.values_list("chat_id", "prompt_message_id"):
        if number is not None:
            found[chat_id].add(number)
    return found


def _blank_log(requester: Requester) -> None:
    """What operators did stays in the admin's log, without the name, the prompts, and the reasons they gave."""
    prompts = requester.generations.annotate(number=Cast("pk", CharField())).values("number")
    entries = LogEntry.objects.filter(
        Q(content_type=ContentType.objects.get_for_model(Requester), object_id=str(requester.pk))
        | Q(content_type=ContentType.objects.get_for_model(Generation), object_id__in=prompts)
    )
    for entry in entries.order_by("pk"):
        entry.object_repr = ERASED
        # Django's own messages are JSON and name fields only.
        if not entry.change_message.startswith("["):
            entry.change_message = entry.change_message.partition(":")[0]
        entry.save(update_fields=["object_repr", "change_message"])
