"""`manage.py runbot`: answers messages and delivers what is finished. Messages come by polling or by webhook."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from telegram_bot.checks import webhook_secret, webhook_url
from telegram_bot.process import CannotRun, run_bot


class Command(BaseCommand):
    help = "Run the Telegram bot, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--webhook",
            action="store_true",
            help="let Telegram post the updates to WEBHOOK_URL, with WEBHOOK_SECRET, instead of polling",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.BOT_TOKEN:
            raise CommandError("BOT_TOKEN is not set.")
        if options["webhook"]:
            require_webhook()
        try:
            asyncio.run(main(options["webhook"]))
        except CannotRun as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used ({error}). Is it migrated?") from None


def require_webhook() -> None:
    """Without its secret the webhook would believe everybody."""
    for name in ("WEBHOOK_URL", "WEBHOOK_SECRET"):
        if not getattr(settings, name):
            raise CommandError(f"{name} is not set; --webhook needs it.")
    for problem in [*webhook_url(), *webhook_secret()]:
        if problem.is_serious():
            raise CommandError(problem.msg)


async def main(webhook: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    await run_bot(stop, webhook)
