"""`manage.py runbot`: fetches messages by long polling, answers them, and delivers what is finished."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from telegram_bot.process import CannotRun, run_bot


class Command(BaseCommand):
    help = "Run the Telegram bot by long polling, until SIGTERM or Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.BOT_TOKEN:
            raise CommandError("BOT_TOKEN is not set.")
        try:
            asyncio.run(main())
        except CannotRun as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used ({error}). Is it migrated?") from None


async def main() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    await run_bot(stop)
