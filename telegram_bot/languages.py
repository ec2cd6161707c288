"""In which language somebody is answered: as chosen with /language, else as their Telegram is, else in English."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from django.conf import settings
from django.utils import translation

from generations import services

from .models import ReceivedUpdate

# By their codes, each in its own language.
NAMES: dict[str, str] = dict(settings.LANGUAGES)
# Chinese in simplified characters, as Telegram's apps name it. Whoever reads traditional ones is answered in English.
SIMPLIFIED = {"zh", "zh-hans", "zh-cn", "zh-sg"}
LARGEST_ID = 2**63 - 1

# In a with statement. It holds for the thread or the task, and for what sync_to_async runs meanwhile.
speaking = translation.override


def of(chosen: str, telegrams: str) -> str:
    """One of ours. telegrams: an IETF code, such as de, pt-br or zh-hans."""
    if chosen in NAMES:
        return chosen
    code = telegrams.lower().replace("_", "-")
    if code in SIMPLIFIED:
        return "zh-hans"
    language = code.partition("-")[0]
    return language if language in NAMES else settings.LANGUAGE_CODE


def of_updates(rows: Iterable[ReceivedUpdate]) -> dict[int, str]:
    """Of whoever sent each, by its number. One question for all of them."""
    senders = {row.update_id: _sender(json.loads(row.payload)) for row in rows}
    known = services.languages_of({user_id for user_id, _ in senders.values()})
    chosen = {user_id: language for user_id, (language, _) in known.items()}
    return {update_id: of(chosen.get(user_id, ""), code) for update_id, (user_id, code) in senders.items()}


def of_chats(chat_ids: Collection[int]) -> dict[int, str]:
    """Of people in their private chats whom nobody has just heard; English in a group."""
    known = services.languages_of(chat_ids)
    return {chat_id: of(*known.get(chat_id, ("", ""))) for chat_id in chat_ids}


def _sender(update: dict[str, Any]) -> tuple[int, str]:
    """As addressing.person_of, of an update that nobody has read yet: anything may be in it. 0 is nobody."""
    for part in update.values():
        if not isinstance(part, dict):
            continue
        sender = part.get("sender_chat") or part.get("from")
        if isinstance(sender, dict) and isinstance(sender.get("id"), int) and abs(sender["id"]) <= LARGEST_ID:
            code = sender.get("language_code")
            return sender["id"], code if isinstance(code, str) else ""
    return 0, ""
