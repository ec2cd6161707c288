"""Tells operators that something is wrong, once when it has lasted and once when it is over: conditions.py says what.

All state is in the database, and each step is one conditional UPDATE: two bot processes, or one that restarts in
between, tell nothing twice. The messages themselves are bulletins.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from . import bulletins, conditions, languages, texts
from .conditions import Finding
from .lease import TOKEN_REFUSED
from .models import Alert
from .operators import operator_chats

logger = logging.getLogger(__name__)

# Between two looks.
LOOK_SECONDS = 20.0
# All must be well for three minutes before that is told.
CLEAR = timedelta(minutes=3)
# What goes on is told again every six hours.
REMIND = timedelta(hours=6)
# What is over is kept for the admin's list for ninety days.
KEEP = timedelta(days=90)


def look() -> None:
    """One look at everything."""
    judge(conditions.look(), timezone.now())


def judge(found: Mapping[str, Finding | None], now: datetime) -> None:
    for kind, finding in found.items():
        if finding is not None:
            _wrong(kind, finding, now)
        elif alert := Alert.open(kind):
            _well(alert, now)


def token_refused() -> None:
    """The bot cannot tell anybody, and ends. It is told when it is over."""
    logger.critical("%s", texts.alert_begins(texts.alert("bot", TOKEN_REFUSED, {})))
    now = timezone.now()
    Alert.begin("bot", now, TOKEN_REFUSED, {}).tell(now)


def lasting() -> list[tuple[str, datetime]]:
    """What is wrong now and was told, in words, and since when."""
    told = Alert.objects.filter(recovered_at=None, told_at__isnull=False).order_by("pk")
    return [(_words(alert), alert.since) for alert in told]


def forget_old() -> None:
    Alert.objects.filter(recovered_at__lt=timezone.now() - KEEP).delete()


def _wrong(kind: str, finding: Finding, now: datetime) -> None:
    alert = Alert.begin(kind, now, finding.state, dict(finding.facts))
    if alert.told_at is None:
        if now - alert.since >= finding.lasting:
            with transaction.atomic():
                if alert.tell(now):
                    _say(alert, "begins", lambda: texts.alert_begins(_words(alert)))
    elif alert.reminded_at is not None and now - alert.reminded_at >= REMIND:
        with transaction.atomic():
            if alert.remind(now):
                event = f"still at {now:%d %H:%M}"
                _say(alert, event, lambda: texts.alert_lasts(_words(alert), now - alert.since))


def _well(alert: Alert, now: datetime) -> None:
    if alert.told_at is None:
        alert.drop()
    elif alert.clear_since is None:
        alert.clear(now)
    elif now - alert.clear_since >= CLEAR:
        lasted = alert.clear_since - alert.since
        with transaction.atomic():
            if alert.recover():
                _say(alert, "over", lambda: texts.alert_over(_words(alert), lasted), logging.WARNING)


def _say(alert: Alert, event: str, words: Callable[[], str], level: int = logging.ERROR) -> None:
    """To whoever there is, each in their language. What was to be said of it before and could not be is out of date."""
    bulletins.take_back(f"alert:{alert.pk}:")
    spoken = languages.of_chats(operator_chats())
    for chat_id, language in spoken.items():
        with languages.speaking(language):
            bulletins.tell(f"alert:{alert.pk}:{event}", chat_id, words())
    logger.log(level, "%s (chats that are told: %s)", words(), len(spoken) or "none")


def _words(alert: Alert) -> str:
    return texts.alert(alert.kind, alert.state, alert.facts)
