"""Runs the Telegram stand-in for development."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

DEFAULT_PORT = 8081
TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]+")


class Command(BaseCommand):
    """`manage.py telegramsim`"""

    help = "Run a local Telegram stand-in: Bot API, chat page and control interface. Loopback and DEBUG only."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Host, port and token."""
        from telegram_bot.simulator import DEFAULT_TOKEN

        parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}")
        parser.add_argument("--token", default=DEFAULT_TOKEN, help=f"the one it accepts (default: {DEFAULT_TOKEN})")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse what is unsafe, then serve until stopped."""
        from telegram_bot.simulator.guard import LOOPBACK
        from telegram_bot.simulator.server import run_forever
        from telegram_bot.simulator.world import World

        host, port, token = options["host"], options["port"], options["token"]
        if not settings.DEBUG:
            raise CommandError("telegramsim is a development tool: it does not start while DEBUG is off.")
        if host not in LOOPBACK:
            raise CommandError(f"telegramsim listens on this machine only: --host {host} is not a loopback address.")
        if not TOKEN.fullmatch(token):
            raise CommandError("--token must look like 1000001:SIMULATOR: digits, a colon, then letters and digits.")
        world = World(token)
        with world.bell.changing():
            world.add_user(1001, "You", username="you")
            world.add_chat(1001)
        shown = f"[{host}]" if ":" in host else host
        self.stdout.write(f"Chat page: http://{shown}:{port}/  (Bot API below it; Ctrl-C stops)")
        self.stdout.flush()
        try:
            run_forever(world, host, port)
        except OSError as error:
            raise CommandError(f"port {port} cannot be used: {error.strerror}") from None
