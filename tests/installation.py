"""An installation of its own for one test: folder, database, queue, and the real processes in it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import psycopg
import redis

from generations import embedded
from generations.engine.card import DEMO_MODEL

ROOT = Path(__file__).resolve().parents[1]


def slow_demo_model(folder: Path) -> Path:
    """The demo model with more steps than it allows by itself: else a video may outrun the word "Rendering".

    Seen once with 50: the chat is told of progress every three seconds at most, and of the first one with some delay.
    """
    shutil.copytree(DEMO_MODEL, folder)
    path = folder / "configuration.json"
    configuration = json.loads(path.read_text(encoding="utf-8"))
    extension = configuration["text_to_video_bot"]
    extension["defaults"]["steps"] = extension["limits"]["steps"][1] = 80
    path.write_text(json.dumps(configuration), encoding="utf-8")
    return folder


class Installation:
    """Use as a context; whatever was started in it is stopped at the end, and its database is dropped."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1", **environment}
        # manage.py and gunicorn name the settings themselves.
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[TextIO] = []
        self._server = os.environ.get("DATABASE_URL", "")
        self._database = ""

    def __enter__(self) -> Installation:
        if self._server:
            # The second CI pass: PostgreSQL, with a database that nobody else uses.
            self._database = f"t2v_test_{secrets.token_hex(6)}"
            self._on_server(f"CREATE DATABASE {self._database}")
            self.environment["DATABASE_URL"] = urlsplit(self._server)._replace(path=f"/{self._database}").geturl()
        if "REDIS_URL" in self.environment:
            redis.Redis.from_url(self.environment["REDIS_URL"]).flushdb()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._database:
            self._on_server(f"DROP DATABASE {self._database} WITH (FORCE)")

    def start_queue(self) -> None:
        """The embedded server; nothing to do where REDIS_URL names one."""
        if "REDIS_URL" in self.environment:
            return
        socket = self.folder / "valkey.sock"
        self._spawn("queue", embedded.valkey_command(self.folder, socket))
        self.wait_until(lambda: embedded.answers(f"unix://{socket}"), "the queue answers")

    def manage(self, *arguments: str, **environment: str) -> str:
        """Run a command to its end and return what it printed."""
        result = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def start(self, *arguments: str) -> None:
        """Start a command that stays; its output is in log(first argument)."""
        self._spawn(arguments[0], [sys.executable, str(ROOT / "manage.py"), *arguments])

    def run(self, name: str, command: list[str]) -> int:
        """Start another program that stays, and give its process id; its output is in log(name)."""
        self._spawn(name, command)
        return self._processes[name].pid

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def wait_until(self, ready: Callable[[], object], what: str, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self._all_logs()}"
            time.sleep(0.1)

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in reversed(self._processes.values()):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        for log in self._logs:
            log.close()

    def _spawn(self, name: str, command: list[str]) -> None:
        log = (self.folder / f"{name}.log").open("w", encoding="utf-8")
        self._logs.append(log)
        self._processes[name] = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def _on_server(self, statement: str) -> None:
        with psycopg.connect(urlsplit(self._server)._replace(path="/postgres").geturl(), autocommit=True) as server:
            server.execute(statement)

    def _all_logs(self) -> str:
        return "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in self._processes)
