from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from generations.erasing import Messages
    from generations.models import Requester
    from generations.telling import Event


class TelegramBotConfig(AppConfig):
    name = "telegram_bot"
    verbose_name = "Telegram bot"

    def ready(self) -> None:
        from generations import erasing, limits, telling
        from telegram_bot import checks  # noqa: F401

        erasing.ELSEWHERE.append(forget)
        limits.OPERATORS.append(operators_among)
        telling.TELLERS.append(tell)


def operators_among(user_ids: Collection[int]) -> set[int]:
    """As operators.among; the models are ready when it is called."""
    from telegram_bot import operators

    return operators.among(user_ids)


def tell(event: Event, requester: Requester, number: int) -> None:
    """As messages.tell; imported when it is called, because a worker has no Telegram library."""
    from telegram_bot import messages

    messages.tell(event, requester, number)


def forget(user_id: int, messages: Messages) -> int:
    """As personal_updates.forget; imported when it is called, because a worker has no Telegram library."""
    from telegram_bot import bulletins, operators, personal_updates

    operators.forget(user_id)
    bulletins.forget(user_id)
    return personal_updates.forget(user_id, messages)
