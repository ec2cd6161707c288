"""Everything on one machine: queue server, web, worker, bot, and without a bot token the Telegram stand-in."""

from __future__ import annotations

import sys
from argparse import SUPPRESS
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from generations.demo import run_demo, start_demo
from generations.machine import HOST, only_one_here, require_free, start_everything
from generations.supervisor import Supervisor, say


class Command(BaseCommand):
    help = "Start and supervise everything on this machine; Ctrl-C stops it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="the site's port (default: 8000)")
        parser.add_argument("--sim-port", type=int, default=8081, help="the stand-in's port (default: 8081)")
        parser.add_argument(
            "--demo", metavar="PROMPT", nargs="?", const="", help="send one prompt through everything, then stop"
        )
        parser.add_argument("--demo-home", type=Path, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["demo"] is not None and options["demo_home"] is None:
            start_demo(options["demo"])
        stand_in = not settings.BOT_TOKEN
        if stand_in and not settings.DEBUG:
            raise CommandError("Set BOT_TOKEN, or DEBUG=1 to try it with the stand-in.")
        with only_one_here():
            require_free(options["port"], "--port")
            if stand_in:
                require_free(options["sim_port"], "--sim-port")
            if options["demo_home"]:
                with (settings.DATA_DIR / "demo.log").open("w", encoding="utf-8") as log:
                    self.supervise(log, stand_in, options)
            else:
                self.supervise(self.stdout, stand_in, options)

    def supervise(self, log: Any, stand_in: bool, options: dict[str, Any]) -> None:
        port, sim_port = options["port"], options["sim_port"]
        supervisor = Supervisor(lambda name, line: say(name, line, log))
        supervisor.listen_for_signals()
        try:
            start_everything(supervisor, port, sim_port if stand_in else None)
            if options["demo_home"]:
                run_demo(supervisor, sim_port, options["demo"], options["demo_home"])
            elif supervisor.run(until=lambda: all(program.is_ready for program in supervisor.programs)):
                say("", welcome(port, sim_port if stand_in else None), log)
                supervisor.run()
        finally:
            say("", "stopping", log)
            supervisor.stop()


def welcome(port: int, sim_port: int | None) -> str:
    chat = f"Chat page:  http://{HOST}:{sim_port}/" if sim_port else "Chat:       your bot on Telegram"
    return (
        f"\nEverything is running. Ctrl-C stops it.\n  {chat}\n  Admin:      http://{HOST}:{port}/admin/\n"
        f"  First time? Make yourself an account: {sys.executable} manage.py createsuperuser\n"
    )
