"""What runs on one machine, and what it takes to start it: ports, lock, queue server, database, then the rest."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import urllib.error
import urllib.request
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import connections

from generations import embedded
from generations.supervisor import Program, Supervisor

HOST = "127.0.0.1"
# The stand-in's own default; it guards nothing.
STAND_IN_TOKEN = "1000001:SIMULATOR"
BOT_SECRETS = {"BOT_TOKEN", "BOT_TOKEN_FILE", "WEBHOOK_SECRET", "WEBHOOK_SECRET_FILE"}


def start_everything(supervisor: Supervisor, port: int, sim_port: int | None) -> None:
    """The queue first, then the database, then all others at once."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # The GPU side and the stand-in never speak to Telegram, so they need no secrets of it.
    without_token = {name: value for name, value in environment.items() if name not in BOT_SECRETS}
    # A server left over from a supervisor that was killed still owns its files; it is used as it is.
    if settings.EMBEDDED_REDIS and not embedded.answers(settings.REDIS_URL):
        command = embedded.valkey_command(settings.DATA_DIR, settings.REDIS_SOCKET)
        queue = Program("queue", command, without_token, lambda _: embedded.answers(settings.REDIS_URL), last=True)
        supervisor.start(queue)
        if not supervisor.run(until=lambda: queue.is_ready or queue.deaths > 1):
            return
        if not queue.is_ready:
            raise CommandError(f"The queue server does not start; see {settings.DATA_DIR / 'valkey' / 'valkey.log'}.")
    prepare_database()
    for_bot = environment
    if sim_port is not None:
        for_bot = {**without_token, "BOT_TOKEN": STAND_IN_TOKEN, "TELEGRAM_API_URL": f"http://{HOST}:{sim_port}"}
        command = manage("telegramsim", "--port", str(sim_port))
        # Ends last, so that the bot can finish what it is saying.
        supervisor.start(Program("chat", command, without_token, lambda _: serves(sim_port, "/"), last=True))
    web = [sys.executable, "-m", "gunicorn", "t2vsite.wsgi", "--bind", f"{HOST}:{port}", "--no-control-socket"]
    web += ["--worker-class", "gthread", "--workers", "1", "--threads", "8", "--chdir", str(settings.BASE_DIR)]
    worker, bot = manage("rqworker", "gpu"), bot_command(stand_in=sim_port is not None)
    supervisor.start(Program("web", web, environment, lambda _: serves(port, "/healthz")))
    supervisor.start(Program("worker", worker, without_token, lambda program: program.has_said("Listening on")))
    supervisor.start(Program("bot", bot, for_bot, bot_is_up))


def bot_command(stand_in: bool) -> list[str]:
    """Whoever names an address that Telegram can reach wants no polling. The stand-in is always polled."""
    return manage("runbot", "--webhook") if settings.WEBHOOK_URL and not stand_in else manage("runbot")


def bot_is_up(bot: Program) -> bool:
    # Telegram may be away for longer than anybody wants to wait for the addresses; the bot itself says that it is.
    return bot.has_said("is running") or bot.has_said("cannot be reached")


def manage(*arguments: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]


def prepare_database() -> None:
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        raise CommandError(f"The database does not answer: {' '.join(str(error).split())[:200]}") from error
    if not settings.DEBUG:
        call_command("collectstatic", verbosity=0, interactive=False)
    # Children must not inherit an open connection.
    connections.close_all()


def only_one_here() -> Any:
    """The lock on DATA_DIR, held as long as this process lives."""
    lock = (settings.DATA_DIR / "up.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise CommandError(f"It is running already on {settings.DATA_DIR}; stop that one, or set DATA_DIR.") from None
    return lock


def require_free(port: int, option: str) -> None:
    if not 0 < port < 65536:
        raise CommandError(f"{option} must be a number from 1 to 65535, not {port}.")
    with socket.socket() as probe:
        # As the servers do: a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = f"{error.strerror}; choose another with {option}"
            raise CommandError(f"Port {port} cannot be used: {reason}.") from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def serves(port: int, path: str) -> bool:
    """Does something answer here, whatever it answers?"""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=2):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
