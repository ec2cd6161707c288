"""What one person has: videos on their way, finished ones, and what is left of today. Questions only.

In a group (a negative chat id) only what the person asked for there: the others read along.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils import timezone

from generations import limits
from generations.models import UNFINISHED, Delivery, Generation, Group, Policy, Requester, Status

# Something to send again: a file in the storage, or one that the chat network has.
SENDABLE = Q(status=Status.SUCCEEDED, hold_delivery=False) & ~(Q(file="") & Q(file_id=""))

# Of the newest that the network keeps, so many are searched.
SEARCHED = 2000


def unfinished(user_id: int, chat_id: int) -> QuerySet[Generation]:
    """The oldest first."""
    return _own(user_id, chat_id).filter(status__in=UNFINISHED).order_by("created_at", "pk")


def awaited(user_id: int, chat_id: int) -> QuerySet[Generation]:
    """The same with the videos that are made and held for an operator."""
    return (
        _own(user_id, chat_id).filter(Q(status__in=UNFINISHED) | Q(delivery=Delivery.HELD)).order_by("created_at", "pk")
    )


def finished(user_id: int, chat_id: int) -> QuerySet[Generation]:
    """Videos that can be sent again, the newest first."""
    return _own(user_id, chat_id).filter(SENDABLE).order_by("-created_at", "-pk")


def clips(user_id: int, words: str, before: int | None, most: int) -> list[Generation]:
    """Videos that the chat network keeps, from any chat, whose prompts hold all these words; the newest first.

    before: only those older than this number. None for a banned person.
    """
    own = Generation.objects.filter(SENDABLE, requester__user_id=user_id, requester__banned_at=None)
    kept = own.exclude(file_id="").exclude(file_kind="").order_by("-pk").only("prompt", "file_id", "file_kind")
    if before is not None:
        kept = kept.filter(pk__lt=before)
    wanted = words.casefold().split()
    # Here and not by the database: SQLite knows the small letters of English only.
    found = (row for row in kept[:SEARCHED].iterator() if all(word in row.prompt.casefold() for word in wanted))
    return list(itertools.islice(found, most))


def can_be_sent(row: Generation) -> bool:
    return row.status == Status.SUCCEEDED and not row.hold_delivery and bool(row.file or row.file_id)


def last_finished(user_id: int, chat_id: int) -> Generation | None:
    """The newest prompt that ended somehow: its video was made, or failed, or was cancelled."""
    ended = _own(user_id, chat_id).exclude(status__in=[*UNFINISHED, Status.REJECTED])
    return ended.order_by("-pk").first()


@dataclass(frozen=True)
class Allowance:
    """Numbers of one person; a limit of 0 is none."""

    today: limits.Usage
    this_hour: limits.Usage
    unfinished: int
    waiting_limit: int


def allowance(user_id: int) -> Allowance:
    """What is left today, and how many are unfinished: as the limits count, without what operators ordered.

    Raises LimitReached for a banned person.
    """
    policy, people = Policy.current(), Requester.objects.select_related("tier")
    requester = people.filter(user_id=user_id).first()
    if requester is None:
        today = limits.Usage(0, policy.daily_limit, limits.day()[1])
        return Allowance(today, limits.Usage(0, policy.hourly_limit, timezone.now()), 0, policy.waiting_limit)
    limits.not_banned(requester)
    return Allowance(
        limits.usage_today(requester, policy),
        limits.usage_this_hour(requester, policy),
        requester.generations.filter(created_by=None, status__in=UNFINISHED).count(),
        requester.entitlement(policy).waiting_limit,
    )


def group_usage(chat_id: int) -> limits.Usage | None:
    """What a group made today, and what it may. None where it has no limit, and in private chats."""
    group, policy = Group.objects.filter(chat_id=chat_id).first(), Policy.current()
    return limits.group_usage_today(group, policy) if group is not None and group.limit(policy) else None


def _own(user_id: int, chat_id: int) -> QuerySet[Generation]:
    own = Generation.objects.filter(requester__user_id=user_id)
    return own if chat_id > 0 else own.filter(chat_id=chat_id)
