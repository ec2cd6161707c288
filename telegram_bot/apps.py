from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from generations.erasing import Messages


class TelegramBotConfig(AppConfig):
    name = "telegram_bot"
    verbose_name = "Telegram bot"

    def ready(self) -> None:
        from generations import erasing
        from telegram_bot import checks  # noqa: F401

        erasing.ELSEWHERE.append(forget)


def forget(user_id: int, messages: Messages) -> int:
    """As personal_updates.forget; imported when it is called, because a worker has no Telegram library."""
    from telegram_bot import operators, personal_updates

    operators.forget(user_id)
    return personal_updates.forget(user_id, messages)
