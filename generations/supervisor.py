"""Starts programs, shows what they say, restarts what dies, and leaves nothing running.

One thread on purpose: a child forked beside running threads may hang, and the kernel's parent-death signal follows the
thread that forked.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

LONGEST_PAUSE = 30.0
# A program that lived for so long starts again without a wait.
HEALTHY_AFTER = 60.0
# "Trying again will not help until somebody changes something" (EX_CONFIG); the program has said why.
REFUSED_TO_START = 78
REFUSED_PAUSE = 60.0
# Docker and systemd users expect Ctrl-C to take about ten seconds at most.
STOP_SECONDS = 9.0
TICK = 0.1
COLOURS = (34, 32, 36, 33, 35)

_libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


@dataclass
class Program:
    """One child process. ready is asked until it says yes once; last programs are stopped after all others."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[Program], bool] = lambda program: True
    restart: bool = True
    last: bool = False

    process: subprocess.Popen[bytes] | None = None
    is_ready: bool = False
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    exit_code: int | None = None
    deaths: int = 0
    started_at: float = 0
    start_again_at: float = 0
    _rest: bytes = b""

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.lines)


class Supervisor:
    """say(name, line) shows one line; the name is "" for the supervisor's own words."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self.say = say
        self.programs: list[Program] = []
        self.stop_asked = False
        self._selector = selectors.DefaultSelector()

    def listen_for_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        # Under nohup it is ignored, and stays so.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._stop)

    def _stop(self, *_: object) -> None:
        self.stop_asked = True

    def start(self, program: Program) -> None:
        if program not in self.programs:
            self.programs.append(program)
        parent = os.getpid()

        def die_with_parent() -> None:
            if _libc is not None:
                _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
                if os.getppid() != parent:
                    os._exit(1)

        process = subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(program.environment),
            # Ctrl-C reaches only us; and whatever the program starts can be ended with it.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, program)
        program.process, program.exit_code, program.started_at = process, None, time.monotonic()

    def run(self, until: Callable[[], bool] = lambda: False) -> bool:
        """Supervise. True when until() says so, False when asked to stop."""
        while not self.stop_asked:
            self.tick()
            if until():
                return True
        return False

    def tick(self) -> None:
        """Show what was said, note deaths, start again what is due."""
        self._read(TICK)
        now = time.monotonic()
        for program in self.programs:
            if program.process is not None and program.process.poll() is not None:
                self._buried(program)
            elif program.process is None and program.restart and now >= program.start_again_at:
                self.start(program)
            elif program.process is not None and not program.is_ready:
                program.is_ready = program.ready(program)

    def stop(self) -> None:
        """End everything within about ten seconds; what does not end is killed with all it started."""
        for program in self.programs:
            program.restart = False
        for group in ([p for p in self.programs if not p.last], [p for p in self.programs if p.last]):
            for program in group:
                if program.process is not None:
                    program.process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while any(program.process for program in group) and time.monotonic() < deadline:
                self.tick()
            for program in group:
                if program.process is not None:
                    self.say("", f"{program.name} did not stop in time and is killed")
                    _kill_group(program.process)
                    program.process.wait()
                    self._buried(program)
        self._selector.close()

    def _buried(self, program: Program) -> None:
        process = program.process
        assert process is not None
        # What it started must not outlive it and keep its port.
        _kill_group(process)
        self._drain(program)
        program.process, program.exit_code = None, process.returncode
        if not program.restart:
            return
        lived = time.monotonic() - program.started_at
        program.deaths = 1 if lived > HEALTHY_AFTER else program.deaths + 1
        if process.returncode == REFUSED_TO_START:
            pause = REFUSED_PAUSE
            what = "refused to start, see above"
        else:
            pause = min(2.0 ** (program.deaths - 1), LONGEST_PAUSE)
            what = f"ended ({_ending(process.returncode)})"
        program.start_again_at = time.monotonic() + pause
        self.say("", f"{program.name} {what}; starting it again in {pause:.0f} s")

    # --- what the programs say

    def _read(self, timeout: float) -> None:
        if not self._selector.get_map():
            time.sleep(timeout)
            return
        for key, _ in self._selector.select(timeout):
            self._read_some(key.data, key.fileobj)  # type: ignore[arg-type]

    def _read_some(self, program: Program, pipe: IO[bytes]) -> bool:
        """Take what is there; False when there is no more."""
        try:
            data = os.read(pipe.fileno(), 65536)
        except BlockingIOError:
            return False
        *lines, program._rest = (program._rest + data).split(b"\n")
        if not data:
            self._selector.unregister(pipe)
            pipe.close()
            lines, program._rest = [program._rest] if program._rest else [], b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            program.lines.append(text)
            self.say(program.name, text)
        return bool(data)

    def _drain(self, program: Program) -> None:
        """Last words often say why."""
        pipe = program.process.stdout if program.process else None
        while pipe is not None and not pipe.closed and self._read_some(program, pipe):
            pass
        if pipe is not None and not pipe.closed:
            self._selector.unregister(pipe)
            pipe.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def say(name: str, line: str, out: Any) -> None:
    """One line, with its speaker in front and, on a terminal, in a colour of its own."""
    label = f"{name:<6} | " if name else ""
    # A terminal that was closed must not keep us from stopping what we started.
    with suppress(OSError):
        if name and out.isatty():
            label = f"\033[{COLOURS[sum(name.encode()) % len(COLOURS)]}m{label}\033[0m"
        out.write(f"{label}{line}\n")
        out.flush()
