"""What operators tell one person: in words of their own, or because of what they did."""

from __future__ import annotations

import secrets

from django.db import transaction

from generations import audit_log, services
from generations.models import Requester
from generations.telling import Event

from . import bulletins, languages, texts

PREFIX = "message:"


def write(requester: Requester, words: str, *, by: services.Operator) -> None:
    """Send it when its turn comes; the person's page shows whether it arrived."""
    with transaction.atomic(), languages.speaking(languages.of(requester.language, requester.language_code)):
        audit_log.write("messaged", requester, by=by, note=words)
        _send(requester, f"{texts.operators_write()}\n\n{words}")


def tell(event: Event, requester: Requester, number: int) -> None:
    """In the transaction of the change itself."""
    with languages.speaking(languages.of(requester.language, requester.language_code)):
        _send(requester, texts.access_granted() if event == "access given" else texts.granted(number))


def _send(requester: Requester, words: str) -> None:
    # A channel, which may write in groups, reads no messages.
    if requester.user_id > 0:
        topic = f"{PREFIX}{secrets.token_urlsafe(9)}"
        bulletins.tell(topic, requester.user_id, words, about=requester.user_id)
