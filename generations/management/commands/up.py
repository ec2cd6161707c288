"""Everything on one machine: queue server, web, worker, bot, and without a bot token the Telegram stand-in."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import SUPPRESS
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import connections

from generations import embedded
from generations.engine.card import read_card
from generations.supervisor import REFUSED_TO_START, Program, Supervisor

HOST = "127.0.0.1"
DEMO_SECONDS = 240.0
COLOURS = {"queue": 35, "web": 34, "worker": 32, "bot": 36, "chat": 33}
# The stand-in's own default; it guards nothing.
STAND_IN_TOKEN = "1000001:SIMULATOR"
# A demo is the same on every machine and never speaks to the real Telegram.
NOT_FOR_THE_DEMO = {
    *("ALLOWED_HOSTS", "BOT_TOKEN", "BOT_TOKEN_FILE", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "MEDIA_ROOT"),
    *("MEDIA_URL_S3", "REDIS_URL", "SECRET_KEY", "SECRET_KEY_FILE", "TELEGRAM_API_URL", "WEBHOOK_URL"),
    *("WEBHOOK_SECRET", "WEBHOOK_SECRET_FILE"),
}


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
        lock = only_one_here()
        port, sim_port = options["port"], options["sim_port"]
        require_free(port, "--port")
        if stand_in:
            require_free(sim_port, "--sim-port")
        demo = options["demo_home"]
        log = (settings.DATA_DIR / "demo.log").open("w", encoding="utf-8") if demo else None
        supervisor = Supervisor(lambda name, line: say(name, line, log or self.stdout))
        supervisor.listen_for_signals()
        try:
            start_everything(supervisor, port, sim_port if stand_in else None)
            if demo:
                run_demo(supervisor, sim_port, options["demo"], demo)
            elif supervisor.run(until=lambda: all(program.is_ready for program in supervisor.programs)):
                say("", welcome(port, sim_port if stand_in else None), self.stdout)
                supervisor.run()
        finally:
            say("", "stopping", log or self.stdout)
            supervisor.stop()
            lock.close()
            if log:
                log.close()


def start_everything(supervisor: Supervisor, port: int, sim_port: int | None) -> None:
    """The queue first, then the database, then all others at once."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # A server left over from a supervisor that was killed still owns its files; it is used as it is.
    if settings.EMBEDDED_REDIS and not embedded.answers(settings.REDIS_URL):
        command = embedded.valkey_command(settings.DATA_DIR, settings.REDIS_SOCKET)
        queue = Program("queue", command, environment, lambda _: embedded.answers(settings.REDIS_URL), last=True)
        supervisor.start(queue)
        if not supervisor.run(until=lambda: queue.is_ready or queue.deaths > 1):
            return
        if not queue.is_ready:
            raise CommandError(f"The queue server does not start; see {settings.DATA_DIR / 'valkey' / 'valkey.log'}.")
    prepare_database()
    if sim_port is not None:
        environment |= {"BOT_TOKEN": STAND_IN_TOKEN, "TELEGRAM_API_URL": f"http://{HOST}:{sim_port}"}
        environment.pop("BOT_TOKEN_FILE", None)
        command = manage("telegramsim", "--port", str(sim_port))
        supervisor.start(Program("chat", command, environment, lambda _: serves(sim_port, "/")))
    for program in programs(environment, port):
        supervisor.start(program)


def programs(environment: Mapping[str, str], port: int) -> list[Program]:
    web = [sys.executable, "-m", "gunicorn", "t2vsite.wsgi", "--bind", f"{HOST}:{port}", "--no-control-socket"]
    web += ["--worker-class", "gthread", "--workers", "1", "--threads", "8", "--chdir", str(settings.BASE_DIR)]
    return [
        Program("web", web, environment, lambda _: serves(port, "/healthz")),
        Program("worker", manage("rqworker", "gpu"), environment, lambda program: program.has_said("Listening on")),
        # It has nothing to ask whether it is ready; a token that is refused ends it within seconds.
        Program("bot", manage("runbot"), environment, lambda program: time.monotonic() - program.started_at > 3),
    ]


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
    with socket.socket() as probe:
        # As the servers do: a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(f"Port {port} cannot be used ({reason}); choose another with {option}.") from None


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


def say(name: str, line: str, out: Any) -> None:
    isatty = out.isatty()
    label = f"{name:<6} | " if name else ""
    if isatty and name:
        label = f"\033[{COLOURS.get(name, 37)}m{label}\033[0m"
    out.write(f"{label}{line}\n")
    out.flush()


def welcome(port: int, sim_port: int | None) -> str:
    chat = f"Chat page:  http://{HOST}:{sim_port}/" if sim_port else "Chat:       your bot on Telegram"
    return (
        f"\nEverything is running. Ctrl-C stops it.\n  {chat}\n  Admin:      http://{HOST}:{port}/admin/\n"
        f"  First time? Make yourself an account: {sys.executable} manage.py createsuperuser\n"
    )


# --- the demo


def start_demo(prompt: str) -> None:
    """Start once more with a DATA_DIR of its own and nothing of this machine's configuration but the model."""
    home = settings.DATA_DIR / "demo"
    state = home / "state"
    # Yesterday's demos must not count against today's limits.
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_DEMO}
    environment |= {"DATA_DIR": str(state), "DEBUG": "1"}
    prompt = prompt or read_card(settings.MODEL).examples[0]
    ports = ("--port", str(free_port()), "--sim-port", str(free_port()))
    command = manage("up", *ports, f"--demo={prompt}", "--demo-home", str(home))
    os.execve(sys.executable, command, environment)


def run_demo(supervisor: Supervisor, sim_port: int, prompt: str, home: Path) -> None:
    """Type the prompt, print the exchange, wait for the video. Raises CommandError with the last words of everybody."""
    deadline = time.monotonic() + DEMO_SECONDS
    chat = next(program for program in supervisor.programs if program.name == "chat")
    worker = next(program for program in supervisor.programs if program.name == "worker")

    def over() -> bool:
        return worker.exit_code == REFUSED_TO_START or time.monotonic() > deadline

    supervisor.run(until=lambda: chat.is_ready or over())
    url = f"http://{HOST}:{sim_port}"
    command = [sys.executable, "-m", "telegram_bot.simulator.demo", url, prompt, str(home)]
    # Not a supervised program: what it prints is the demo.
    person = subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL)
    try:
        supervisor.run(until=lambda: person.poll() is not None or over())
    finally:
        person.terminate()
        person.wait()
    if person.returncode != 0:
        for program in supervisor.programs:
            for line in list(program.lines)[-15:]:
                say(program.name, line, sys.stderr)
        raise CommandError(f"The demo failed; all that was said is in {settings.DATA_DIR / 'demo.log'}.")
