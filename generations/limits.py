"""Who may submit how much. Every number is the operator's, from Policy; 0 means no limit.

check() runs inside the transaction that creates the row, with the requester's row locked, so that twenty messages at
once cannot pass a limit of five.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.core.files.storage import FileSystemStorage, default_storage
from django.db.models import Q
from django.utils import timezone

from generations.models import COUNTED, UNFINISHED, Generation, Policy, Requester

# A video with its poster is far smaller, and the database, the queue and the logs often share the disk.
LEAST_FREE = 50 * 1024 * 1024


# By person; None for everybody. Empty and forgotten outside one_moment().
_refused_now: ContextVar[dict[int | None, LimitReached]] = ContextVar("refused_now")


class LimitReached(Exception):
    """A refusal. retry_at is when the rule lets the person in again, None when time alone does not help."""

    def __init__(self, rule: str, *, limit: int = 0, retry_at: datetime | None = None, reason: str = "") -> None:
        super().__init__(f"{rule} limit of {limit} reached" if limit else rule)
        self.rule = rule
        self.limit = limit
        self.retry_at = retry_at
        self.reason = reason


@dataclass(frozen=True)
class Usage:
    """What is left today. limit is 0 when there is none."""

    used: int
    limit: int
    resets_at: datetime

    @property
    def left(self) -> int | None:
        return max(self.limit - self.used, 0) if self.limit else None


def check(requester: Requester, policy: Policy) -> None:
    """Raise LimitReached for the first rule that stands in the way."""
    try:
        not_banned(requester)
        own = own_prompts(requester, policy)
        videos_per_day(own, policy)
        waiting_at_once(own, policy)
        whole_queue(policy)
        room_for_videos()
    except LimitReached as refusal:
        everybody = refusal.rule in {"queue", "storage"}
        _refused_now.get({})[None if everybody else requester.user_id] = refusal
        raise


@contextmanager
def one_moment() -> Iterator[None]:
    """For messages that are handled together: what is refused to the first of them is refused to the rest.

    A flood costs little that way. Within so short a time nothing changes but that a place becomes free, for the next.
    """
    token = _refused_now.set({})
    try:
        yield
    finally:
        _refused_now.reset(token)


def refused_this_moment(user_id: int) -> LimitReached | None:
    """What this person, or everybody, was refused with in this one moment."""
    refused = _refused_now.get({})
    refusal = refused.get(user_id) or refused.get(None)
    return refusal and refusal.with_traceback(None)


def not_banned(requester: Requester) -> None:
    """A banned person submits nothing."""
    if requester.is_banned:
        raise LimitReached("banned", reason=requester.ban_reason)


def own_prompts(requester: Requester, policy: Policy) -> list[tuple[str, datetime]]:
    """Status and time of what the next two rules count, no more rows than those rules allow.

    One plain query for both: under a flood, this is what the bot does most.
    """
    wanted = Q(status__in=UNFINISHED)
    if policy.daily_limit:
        wanted |= Q(status__in=COUNTED, created_at__gte=day()[0])
    return list(requester.generations.filter(wanted, created_by=None).values_list("status", "created_at"))


def videos_per_day(own: list[tuple[str, datetime]], policy: Policy) -> None:
    """So many videos between one midnight and the next; failed, cancelled and refused ones do not count."""
    midnight, tomorrow = day()
    if policy.daily_limit and sum(created_at >= midnight for _, created_at in own) >= policy.daily_limit:
        raise LimitReached("daily", limit=policy.daily_limit, retry_at=tomorrow)


def waiting_at_once(own: list[tuple[str, datetime]], policy: Policy) -> None:
    """So many unfinished prompts per person."""
    if policy.waiting_limit and sum(status in UNFINISHED for status, _ in own) >= policy.waiting_limit:
        raise LimitReached("waiting", limit=policy.waiting_limit)


def whole_queue(policy: Policy) -> None:
    """So many unfinished prompts of all people together."""
    if policy.queue_limit and Generation.objects.unfinished().count() >= policy.queue_limit:
        raise LimitReached("queue", limit=policy.queue_limit)


def room_for_videos() -> None:
    """On a full disk every prompt would fail in the end, so none is accepted until there is room again."""
    if not isinstance(default_storage, FileSystemStorage):
        return
    folder = Path(default_storage.path(""))
    # Made with the first video.
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if shutil.disk_usage(existing).free < LEAST_FREE:
        raise LimitReached("storage")


def day() -> tuple[datetime, datetime]:
    """Today's midnight and the next one."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    # Calendar days, not 24 hours: a day with a clock change is longer or shorter.
    tomorrow = timezone.make_aware((midnight.replace(tzinfo=None) + timedelta(days=1)), timezone.get_current_timezone())
    return midnight, tomorrow


def usage_today(requester: Requester, policy: Policy) -> Usage:
    midnight, tomorrow = day()
    used = requester.generations.filter(created_by=None, status__in=COUNTED, created_at__gte=midnight).count()
    return Usage(used=used, limit=policy.daily_limit, resets_at=tomorrow)
