"""`manage.py up --demo`: one prompt through chat, bot, queue, worker, and back as a video."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

from generations.engine.card import read_card
from generations.machine import HOST, free_port, manage
from generations.served import served_model
from generations.supervisor import REFUSED_TO_START, Supervisor, say

DEMO_SECONDS = 240.0
# A demo is the same on every machine and never speaks to the real Telegram.
NOT_FOR_THE_DEMO = {
    *("ALLOWED_HOSTS", "BOT_TOKEN", "BOT_TOKEN_FILE", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "MEDIA_ROOT"),
    *("MEDIA_URL_S3", "REDIS_URL", "SECRET_KEY", "SECRET_KEY_FILE", "TELEGRAM_API_URL", "WEBHOOK_URL"),
    *("WEBHOOK_SECRET", "WEBHOOK_SECRET_FILE"),
}


def start_demo(prompt: str) -> None:
    """Start once more with a DATA_DIR of its own and nothing of this machine's configuration but the model."""
    home = settings.DATA_DIR / "demo"
    state = home / "state"
    # Yesterday's demos must not count against today's limits.
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_DEMO}
    environment |= {"DATA_DIR": str(state), "DEBUG": "1", "MODEL": str(served_model())}
    prompt = prompt or read_card(served_model()).examples[0]
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
    person = subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, start_new_session=True)
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
