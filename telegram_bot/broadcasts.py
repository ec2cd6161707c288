"""What operators tell many people, a few at a time: everything else that the bot has to say goes on between them.

The bot writes messages for as many people as the rate allows, in the order of their numbers, and remembers the last one
in the same transaction: a bot that was killed goes on there, and nobody is told twice. bulletins.py sends them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from generations import audit_log, services
from generations.models import Requester

from . import bulletins, languages, texts
from .models import Broadcast, Bulletin

# Between two looks.
LOOK_SECONDS = 2.0
PREFIX = "broadcast:"
# Messages that wait to be sent: a bot that Telegram holds up writes no more of them, and one that is stopped has few.
MOST_WAITING = 50

State = Broadcast.State


@dataclass(frozen=True)
class Progress:
    """Of the messages. waiting: written and not sent yet; missed: refused by Telegram, or nobody knows."""

    people: int
    reached: int
    missed: int
    waiting: int

    @property
    def per_cent(self) -> int:
        return 100 * min(self.reached + self.missed, self.people) // self.people if self.people else 100


def audience(broadcast: Broadcast) -> QuerySet[Requester]:
    """Whom it goes to now: nobody who is banned or wants none. A negative number is a channel's."""
    people = Requester.objects.filter(banned_at=None, no_news=False, user_id__gt=0)
    if broadcast.active_days is not None:
        people = people.filter(last_served_at__gte=timezone.now() - timedelta(days=broadcast.active_days))
    return people if broadcast.tier_id is None else people.filter(tier=broadcast.tier_id)


def begin(broadcast: Broadcast, *, by: services.Operator) -> bool:
    """From now on it is sent. False when it was begun before."""
    with transaction.atomic():
        people = audience(broadcast).count()
        begun = broadcast.begin(people)
        if begun:
            audit_log.write("begun", broadcast, by=by, before={"state": State.DRAFT}, after=_after(broadcast))
    return begun


def stop(broadcast: Broadcast, *, by: services.Operator) -> bool:
    """Nobody more reads it. False when it is over, or never began."""
    with transaction.atomic():
        stopped = broadcast.stop()
        if stopped:
            bulletins.take_back(_topic(broadcast))
            audit_log.write("stopped", broadcast, by=by, before={"state": State.SENDING}, after=_after(broadcast))
    return stopped


def try_out(broadcast: Broadcast, chat_id: int) -> None:
    """To one operator, as everybody would read it."""
    words = words_for(broadcast, languages.of_chats([chat_id])[chat_id])
    # Every time anew.
    bulletins.tell(f"trial:{broadcast.pk}:{timezone.now().timestamp()}", chat_id, words)


def progress(broadcast: Broadcast) -> Progress:
    if broadcast.state == State.DRAFT:
        return Progress(audience(broadcast).count(), 0, 0, 0)
    reached, missed, waiting = _counts(broadcast)
    # Those of old are forgotten.
    return Progress(broadcast.people, max(reached, broadcast.reached), max(missed, broadcast.missed), waiting)


def look() -> None:
    """Write the next messages of what is being sent."""
    for broadcast in Broadcast.objects.filter(state=State.SENDING).order_by("pk"):
        _go_on(broadcast)
    # What was on its way when it was stopped is counted when it has arrived.
    recent = Broadcast.objects.filter(state=State.STOPPED, over_at__gte=timezone.now() - timedelta(minutes=10))
    for broadcast in recent:
        reached, missed, _ = _counts(broadcast)
        broadcast.count(reached, missed)


def words_for(broadcast: Broadcast, language: str) -> str:
    with languages.speaking(language):
        return f"{broadcast.text}\n\n{texts.no_more_news()}"


def _go_on(broadcast: Broadcast) -> None:
    reached, missed, waiting = _counts(broadcast)
    broadcast.count(reached, missed)
    room = min(round(broadcast.per_minute * LOOK_SECONDS / 60) or 1, MOST_WAITING - waiting)
    next_ones = audience(broadcast).filter(pk__gt=broadcast.last_person).order_by("pk")
    people = list(next_ones[: max(room, 0)])
    with transaction.atomic():
        if people and broadcast.advance(people[-1].pk):
            for person in people:
                words = words_for(broadcast, languages.of(person.language, person.language_code))
                bulletins.tell(_topic(broadcast), person.user_id, words, about=person.user_id)
    if not people and not waiting:
        broadcast.finish()


def _counts(broadcast: Broadcast) -> tuple[int, int, int]:
    """Of the messages that are still kept: reached, missed, waiting."""
    counts = Bulletin.objects.filter(topic=_topic(broadcast)).aggregate(
        reached=Count("pk", filter=Q(message_id__isnull=False)),
        missed=Count("pk", filter=Q(message_id=None, due=False)),
        waiting=Count("pk", filter=Q(message_id=None, due=True)),
    )
    return counts["reached"], counts["missed"], counts["waiting"]


def _topic(broadcast: Broadcast) -> str:
    return f"{PREFIX}{broadcast.pk}"


def _after(broadcast: Broadcast) -> dict[str, object]:
    return {"state": broadcast.state, "people": broadcast.people}
