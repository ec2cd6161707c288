"""Who may submit how much. Every number is the operator's; 0 means no limit. A person's own win, see Entitlement.

Counts are read and checked inside the transaction that creates the rows, with the requesters' rows locked, so that
twenty messages at once cannot pass a limit of five.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.core.files.storage import FileSystemStorage, default_storage
from django.db.models import Count, Q
from django.utils import timezone

from generations.models import COUNTED, UNFINISHED, AskedPrompt, Entitlement, Generation, Group, Policy, Requester

# A video with its poster is far smaller, and the database, the queue and the logs often share the disk.
LEAST_FREE = 50 * 1024 * 1024
# Prompts of one person that wait for a word at one time, and how old they may be to count.
MOST_ASKED = 5
ASKED_RECENTLY = timedelta(hours=1)
HOUR = timedelta(hours=1)


# Who of these people, by number, is an operator: they are let in always. Other apps know that: each adds a function
# from AppConfig.ready(), as with erasing.ELSEWHERE.
OPERATORS: list[Callable[[Collection[int]], set[int]]] = []


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
    """What is left. limit is 0 when there is none."""

    used: int
    limit: int
    resets_at: datetime

    @property
    def left(self) -> int | None:
        return max(self.limit - self.used, 0) if self.limit else None


def not_closed(policy: Policy) -> None:
    """Only within the hours of the day in which prompts are taken; operators may always."""
    opens = opens_at(policy)
    if opens is not None:
        raise LimitReached("closed", retry_at=opens, reason=policy.closed_notice)


def opens_at(policy: Policy) -> datetime | None:
    """When prompts are taken again; None: they are taken now."""
    begin, end = policy.open_from, policy.open_until
    if begin is None or end is None or begin == end:
        return None
    now = timezone.localtime()
    is_open = begin <= now.hour < end if begin < end else now.hour >= begin or now.hour < end
    if is_open:
        return None
    at = now.replace(tzinfo=None, hour=begin, minute=0, second=0, microsecond=0)
    # By the calendar: the day of a clock change has another length.
    return timezone.make_aware(at if begin > now.hour else at + timedelta(days=1), timezone.get_current_timezone())


class Counts:
    """What the rules count, read once for all prompts that are decided together, and kept true while they are."""

    def __init__(
        self, requesters: Collection[Requester], policy: Policy, groups: Mapping[int, Group] | None = None
    ) -> None:
        """groups: those that prompts come from, by chat."""
        self.policy = policy
        self._groups = groups or {}
        self._made_in = _made_today([chat for chat, group in self._groups.items() if group.limit(policy)])
        # Status and time of each person's own prompts, no more of them than the rules allow. One plain query: under a
        # flood, this is what the bot does most.
        self._own: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
        self._entitled = {requester.pk: requester.entitlement(policy) for requester in requesters}
        wanted = Q(status__in=UNFINISHED)
        since = [day()[0] for entitled in self._entitled.values() if entitled.daily_limit][:1]
        since += [timezone.now() - HOUR for entitled in self._entitled.values() if entitled.hourly_limit][:1]
        if since:
            wanted |= Q(status__in=COUNTED, created_at__gte=min(since))
        own = Generation.objects.filter(wanted, requester__in=requesters, created_by=None)
        for requester_id, status, created_at in own.values_list("requester_id", "status", "created_at"):
            self._own[requester_id].append((status, created_at))
        self._unfinished = Generation.objects.unfinished().count() if policy.queue_limit else 0
        exempt = policy.paused or policy.access != Policy.Access.OPEN or opens_at(policy) is not None
        self._operators = operators({requester.user_id for requester in requesters}) if exempt else set()

    def check(self, requester: Requester, chat_id: int | None = None) -> None:
        """Raise LimitReached for the first rule that stands in the way of one more prompt."""
        own = self._own[requester.pk]
        not_banned(requester)
        if requester.user_id not in self._operators:
            admitted(requester, self.policy)
            not_paused(self.policy)
            not_closed(self.policy)
        terms_accepted(requester, self.policy)
        group = self._groups.get(chat_id) if chat_id is not None else None
        if group is not None:
            group_takes_prompts(group, self.policy)
            videos_per_day_of_group(self._made_in[chat_id], group, self.policy)
        entitled = self._entitled[requester.pk]
        videos_per_day(own, requester, entitled)
        videos_per_hour(own, entitled)
        waiting_at_once(own, entitled)
        whole_queue(self._unfinished, self.policy)
        room_for_videos()

    def add(self, generation: Generation) -> None:
        """It was accepted, so the next one finds it there."""
        self._own[generation.requester_id].append((generation.status, timezone.now()))
        self._unfinished += 1
        if generation.chat_id in self._groups:
            self._made_in[generation.chat_id] += 1


def not_banned(requester: Requester) -> None:
    """A banned person submits nothing."""
    if requester.is_banned:
        raise LimitReached("banned", reason=requester.ban_reason)


def admitted(requester: Requester, policy: Policy) -> None:
    """Only some are let in, where the policy says so; the rule's name says how to become one of them."""
    if policy.access != Policy.Access.OPEN and requester.admitted_at is None:
        raise LimitReached(policy.access)


def terms_accepted(requester: Requester, policy: Policy) -> None:
    """The terms of today, where there are any."""
    if policy.terms and requester.terms_accepted_version != policy.terms_version:
        raise LimitReached("terms")


def operators(user_ids: Collection[int]) -> set[int]:
    """Who of them is an operator."""
    return set().union(*(known(user_ids) for known in OPERATORS))


def not_paused(policy: Policy) -> None:
    """While an operator has paused the intake nobody submits anything, but for operators."""
    if policy.paused:
        raise LimitReached("paused", reason=policy.pause_notice)


def group_takes_prompts(group: Group, policy: Policy) -> None:
    """The operators may switch off a group, or all of them."""
    if not group.is_open(policy):
        raise LimitReached("group_off")


def videos_per_day_of_group(made: int, group: Group, policy: Policy) -> None:
    """As the limit of a person, for all people of a group together."""
    limit = group.limit(policy)
    if limit and made >= limit:
        raise LimitReached("group_daily", limit=limit, retry_at=day()[1])


def asked_at_once(requester: Requester) -> None:
    """So many prompts that wait for their person's word: each takes a message to ask."""
    recent = AskedPrompt.objects.filter(requester=requester, created_at__gt=timezone.now() - ASKED_RECENTLY)
    if recent.count() >= MOST_ASKED:
        raise LimitReached("asked", limit=MOST_ASKED)


def videos_per_day(own: list[tuple[str, datetime]], requester: Requester, entitled: Entitlement) -> None:
    """So many videos between one midnight and the next; failed, cancelled and refused ones do not count."""
    midnight, tomorrow = day()
    limit = limit_today(requester, entitled)
    if limit and sum(created_at >= midnight for _, created_at in own) >= limit:
        raise LimitReached("daily", limit=limit, retry_at=tomorrow)


def videos_per_hour(own: list[tuple[str, datetime]], entitled: Entitlement) -> None:
    """The same of any sixty minutes."""
    limit, ago = entitled.hourly_limit, timezone.now() - HOUR
    recent = sorted(created_at for _, created_at in own if created_at > ago)
    if limit and len(recent) >= limit:
        # When the oldest of those that fill it is an hour old.
        raise LimitReached("hourly", limit=limit, retry_at=recent[-limit] + HOUR)


def waiting_at_once(own: list[tuple[str, datetime]], entitled: Entitlement) -> None:
    """So many unfinished prompts per person."""
    if entitled.waiting_limit and sum(status in UNFINISHED for status, _ in own) >= entitled.waiting_limit:
        raise LimitReached("waiting", limit=entitled.waiting_limit)


def whole_queue(unfinished: int, policy: Policy) -> None:
    """So many unfinished prompts of all people together."""
    if policy.queue_limit and unfinished >= policy.queue_limit:
        raise LimitReached("queue", limit=policy.queue_limit)


def room_for_videos() -> None:
    """On a full disk every prompt would fail in the end, so none is accepted until there is room again."""
    free = free_space()
    if free is not None and free < LEAST_FREE:
        raise LimitReached("storage")


def free_space() -> int | None:
    """Bytes where the videos lie; None where that is no disk of ours."""
    if not isinstance(default_storage, FileSystemStorage):
        return None
    folder = Path(default_storage.path(""))
    # Made with the first video.
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def day() -> tuple[datetime, datetime]:
    """Today's midnight and the next one."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    # Calendar days, not 24 hours: a day with a clock change is longer or shorter.
    tomorrow = timezone.make_aware((midnight.replace(tzinfo=None) + timedelta(days=1)), timezone.get_current_timezone())
    return midnight, tomorrow


def _made_today(chats: Iterable[int]) -> dict[int | None, int]:
    """Of the videos that count, by chat."""
    made: dict[int | None, int] = defaultdict(int)
    rows = Generation.objects.filter(chat_id__in=list(chats), created_at__gte=day()[0])
    made.update(
        rows.filter(created_by=None, status__in=COUNTED)
        .order_by()
        .values("chat_id")
        .annotate(number=Count("pk"))
        .values_list("chat_id", "number")
    )
    return made


def group_usage_today(group: Group, policy: Policy) -> Usage:
    return Usage(used=_made_today([group.chat_id])[group.chat_id], limit=group.limit(policy), resets_at=day()[1])


def granted_today(requester: Requester) -> int:
    """What an operator gave this person for today, besides the daily limit."""
    return requester.granted if requester.granted_on == timezone.localdate() else 0


def limit_today(requester: Requester, entitled: Entitlement) -> int:
    return entitled.daily_limit + granted_today(requester) if entitled.daily_limit else 0


def usage_today(requester: Requester, policy: Policy) -> Usage:
    midnight, tomorrow = day()
    limit = limit_today(requester, requester.entitlement(policy))
    return Usage(used=len(_counted_since(requester, midnight)), limit=limit, resets_at=tomorrow)


def usage_this_hour(requester: Requester, policy: Policy) -> Usage:
    """resets_at: when the next one is allowed, of somebody who has none left."""
    limit, now = requester.entitlement(policy).hourly_limit, timezone.now()
    recent = _counted_since(requester, now - HOUR) if limit else []
    full = bool(limit) and len(recent) >= limit
    return Usage(used=len(recent), limit=limit, resets_at=recent[-limit] + HOUR if full else now)


def _counted_since(requester: Requester, since: datetime) -> list[datetime]:
    counted = requester.generations.filter(created_by=None, status__in=COUNTED, created_at__gte=since)
    return list(counted.order_by("created_at").values_list("created_at", flat=True))
