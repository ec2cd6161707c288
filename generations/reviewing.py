"""Whether an operator looks at a prompt or its video first: as the person is set, else the group, else the policy."""

from __future__ import annotations

from typing import Literal

from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from generations.models import Delivery, Generation, Group, Policy, Requester, Status

Review = Policy.Review
# What refusals mostly say, offered wherever one is decided. Stored in English, translated when the person is told.
REASONS = (
    gettext_noop("It breaks the rules of this bot."),
    gettext_noop("No real people, please."),
    gettext_noop("It cannot be made well. Please ask in other words."),
)
# One that an operator has a word to say about.
Waiting = Generation


def mode_for(requester: Requester, group: Group | None, policy: Policy) -> Policy.Review:
    """group: where the prompt comes from, None in private."""
    return Review(requester.review or (group.review if group is not None else "") or policy.review)


def waits(row: Generation) -> bool:
    """For an operator's word: a prompt before it is made, or a video before it is sent."""
    return row.status == Status.PENDING_REVIEW or is_video(row)


def is_video(row: Generation) -> bool:
    return row.delivery == Delivery.HELD


def waiting() -> QuerySet[Generation]:
    """Everything that waits for an operator's word, the oldest first."""
    # A union: with OR between two columns SQLite looks at every row.
    prompts = Generation.objects.filter(status=Status.PENDING_REVIEW).order_by().values("pk")
    videos = Generation.objects.filter(delivery=Delivery.HELD).order_by().values("pk")
    return Generation.objects.filter(pk__in=prompts.union(videos)).select_related("requester").order_by("pk")


def find(pk: int | None) -> Generation | None:
    if pk is None:
        return None
    return Generation.objects.select_related("requester", "reviewed_by").filter(pk=pk).first()


def outcome(row: Generation) -> tuple[Literal["approved", "rejected", "over"], str]:
    """What became of one that waited, and which operator decided it; "" for none."""
    by = row.reviewed_by.get_username() if row.reviewed_by is not None else ""
    if row.status == Status.REJECTED:
        return "rejected", by
    # Whoever asked for it has cancelled it, or was banned or lost.
    return ("approved", by) if row.reviewed_by is not None and row.status != Status.CANCELLED else ("over", by)
