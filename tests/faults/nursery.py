"""Starts Python programs in a tenth of the time: as forks of a process that has imported the libraries already.

`Nursery` is for the tests. The process itself (`python -m tests.faults.nursery`) imports nothing of the product, whose
settings are read from the environment of each program. What it starts is a process like every other: it can be killed,
frozen and measured, and only its first second is missing.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import zoneinfo
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.installation import ROOT

LIBRARIES = [
    "asyncio.runners",
    "av",
    "django.contrib.messages.middleware",
    "django.core.handlers.wsgi",
    "django.core.management",
    "django.core.management.commands.check",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.db.models",
    "django.forms",
    "django.template.defaulttags",
    "django.template.loader_tags",
    "django.views.defaults",
    "gunicorn.app.wsgiapp",
    "gunicorn.workers.gthread",
    "httpx",
    "numpy",
    "psycopg",
    "redis",
    "rq",
    "telegram.ext",
    "whitenoise.storage",
]


class Child:
    """A process that a nursery has started, with the methods of subprocess.Popen that are needed."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.pid = int(json.loads(_read_line(line))["pid"])
        self.returncode: int | None = None
        # Of processor time; known when it has ended.
        self.seconds = 0.0

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            end = json.loads(_read_line(self._line))
            self.returncode, self.seconds = os.waitstatus_to_exitcode(end["status"]), end["seconds"]
            self._line.close()
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """Use as a context."""

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "nursery.sock")

    def __enter__(self) -> Nursery:
        command = [sys.executable, "-m", "tests.faults.nursery", self._address]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PTB_TIMEDELTA": "true", "OMP_NUM_THREADS": "1"}
        # It ends when this process closes the pipe, also by being killed.
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def start(self, module: str, *arguments: str, environment: Mapping[str, str], log: Path) -> Child:
        """As `python -m module arguments`, with all it says appended to the log."""
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._address)
        wish = {"module": module, "arguments": arguments, "environment": dict(environment), "log": str(log)}
        line.sendall(json.dumps(wish).encode() + b"\n")
        return Child(line)


def _read_line(line: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        part = line.recv(65536)
        if not part:
            raise ConnectionError("the nursery is gone")
        found += part
    return found


def serve(address: str) -> dict[str, Any] | None:
    """Returns what to run in each new process, and None in this one at its end."""
    door = socket.socket(socket.AF_UNIX)
    door.bind(address)
    door.listen(64)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    print("ready", flush=True)
    lines: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([door, woken, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        if woken in ready:
            os.read(woken, 4096)
            _bury(lines)
        if door in ready:
            line, _ = door.accept()
            wish: dict[str, Any] = json.loads(_read_line(line))
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (door, line, *lines.values()):
                    end.close()
                os.close(woken)
                os.close(wake)
                return wish
            lines[pid] = line
            line.sendall(json.dumps({"pid": pid}).encode() + b"\n")


def _bury(lines: dict[int, socket.socket]) -> None:
    for pid in list(lines):
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            with suppress(OSError):
                end = {"status": status, "seconds": usage.ru_utime + usage.ru_stime}
                lines[pid].sendall(json.dumps(end).encode() + b"\n")
            lines.pop(pid).close()


def become(wish: dict[str, Any]) -> None:
    """The program that was asked for, from its first line to its last."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(wish["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, file in enumerate((nothing, log, log)):
        os.dup2(file, number)
    os.closerange(3, 64)
    os.environ.clear()
    os.environ.update(wish["environment"])
    # Both were read from the environment when they were imported.
    time.tzset()
    zoneinfo.reset_tzpath()
    sys.argv[1:] = wish["arguments"]
    runpy.run_module(wish["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    if (asked_for := serve(sys.argv[1])) is not None:
        become(asked_for)
