"""A random walk of faults while people keep asking for videos; or kill -9, again and again. Then the count."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis

from generations.machine import serves
from tests.faults.account import Account, count, settled
from tests.faults.system import System

PEOPLE = 80
# Of the fault list, those that can strike at any moment.
CHAPTERS = ("F1", "F2", "F4", "F5", "F6")
PARTS = ("worker", "bot", "queue", "web")
# A first video, and its memory, before anything is compared with it.
WARM_UP = 20.0
# Megabytes that a part may grow in one life, after its warm-up.
MOST_GROWTH = 50
# Seconds between two kills, at most, and the share of them that does not wait until the part has come up.
LONGEST_PAUSE = 2.0
WHILE_STARTING = 0.25
# Prompts that ask the engine for a fault of its own, once in so many.
ODD_PROMPTS = ("!die-once=5", "!die-before-row", "!raise=3", "!memory=2", "!broken=1", "!die=4")
ODD_ONE_IN = 20


@dataclass
class Memory:
    """Of one part, in megabytes, through all its lives: a successor's start is no growth."""

    most: float = 0
    grew: float = 0
    longest_life: float = 0
    _pid: int = 0
    _began: float = 0
    _at_first: float = 0

    def note(self, pid: int, size: float) -> None:
        now = time.monotonic()
        if pid != self._pid:
            self._pid, self._began, self._at_first = pid, now, 0
        self.most = max(self.most, size)
        self.longest_life = max(self.longest_life, now - self._began)
        if now - self._began >= WARM_UP:
            self._at_first = self._at_first or size
            self.grew = max(self.grew, size - self._at_first)

    def __str__(self) -> str:
        lived = self.longest_life > WARM_UP
        grew = f"grew {self.grew:.0f} MB in one life" if lived else "no life long enough to see it grow"
        return f"at most {self.most:.0f} MB, {grew}, the longest of {self.longest_life:.0f} s"


@dataclass
class Walk:
    """One run: what was done to the system, and what came of it."""

    system: System
    seed: int
    sent: int = 0
    done: Counter[str] = field(default_factory=Counter)
    memory: dict[str, Memory] = field(default_factory=lambda: {"bot": Memory(), "web": Memory()})
    loads: list[float] = field(default_factory=list)
    account: Account | None = None
    seconds: float = 0
    _later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    _looked_at: float = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    # --- people

    def prompt(self) -> None:
        self.sent += 1
        odd = f" {self.random.choice(ODD_PROMPTS)}" if self.random.randrange(ODD_ONE_IN) == 0 else ""
        text = f"cat {self.sent} !seconds={self.random.uniform(0.05, 0.8):.2f}{odd}"
        self.system.telegram.say(1 + self.sent % PEOPLE, text)

    # --- faults; each ends by itself

    def soon(self, seconds: float, action: Callable[[], object]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def kill(self, name: str) -> None:
        """kill -9 of the process itself; for the web site now and then of gunicorn's child alone."""
        pids = [self.system.processes[name].pid]
        if name == "web":
            pids += self.system.children(name)
        with suppress(ProcessLookupError):
            os.kill(self.random.choice(pids), signal.SIGKILL)

    def stop(self, name: str) -> None:
        self.system.processes[name].terminate()

    def freeze(self, name: str, seconds: float) -> None:
        process = self.system.processes[name]
        with suppress(ProcessLookupError):
            self.system.freeze(name)
        # This very process; a successor was never frozen.
        self.soon(seconds, lambda: process.poll() is None and process.send_signal(18))

    def queue_away(self) -> None:
        process = self.system.processes.pop("queue")
        process.kill()
        process.wait()
        self.soon(6, lambda: "queue" in self.system.processes or self.system.launch("queue"))

    def wipe_queue(self) -> None:
        with suppress(redis.RedisError), self.system.redis() as server:
            server.flushall()

    def ring_for_nothing(self) -> None:
        with suppress(redis.RedisError):
            self.system.ring(3)

    def telegram_fails(self) -> None:
        method = self.random.choice(["editMessageMedia", "sendMessage", "editMessageText", "getUpdates"])
        telegram = self.system.telegram
        faults: list[Callable[..., Any]] = [
            lambda: telegram.fail(method, status=500, times=2),
            lambda: telegram.fail(method, status=502),
            lambda: telegram.fail(method, retry_after=3),
            lambda: telegram.drop_reply(method),
            lambda: telegram.drop_reply(method, processed=False),
            lambda: telegram.cut_reply(method),
            lambda: telegram.hang(method, seconds=4),
        ]
        self.random.choice(faults)()

    def faults(self) -> dict[str, tuple[str, Callable[[], object]]]:
        """By name: the chapter of the fault list, and what to do."""
        return {
            "worker killed": ("F1", lambda: self.kill("worker")),
            "worker stopped": ("F1", lambda: self.stop("worker")),
            "queue killed": ("F2", lambda: self.kill("queue")),
            "queue away for 6 s": ("F2", self.queue_away),
            "queue wiped": ("F2", self.wipe_queue),
            "telegram fails": ("F4", self.telegram_fails),
            "telegram away for 5 s": ("F4", lambda: self.system.telegram.refuse_connections(5)),
            "worker frozen for 10 s": ("F5", lambda: self.freeze("worker", 10)),
            "rung for nothing": ("F5", self.ring_for_nothing),
            "bot killed": ("F6", lambda: self.kill("bot")),
            "bot stopped": ("F6", lambda: self.stop("bot")),
            "bot frozen for 8 s": ("F6", lambda: self.freeze("bot", 8)),
            "web killed": ("F6", lambda: self.kill("web")),
        }

    # --- the run

    def soak(self, *, minutes: float, prompts: int, every: float, only: str = "") -> None:
        faults = {name: do for name, (chapter, do) in self.faults().items() if only in {"", chapter}}
        began = self._start()
        length = minutes * 60
        next_fault = began + WARM_UP
        while (now := time.monotonic()) < began + length:
            if now >= next_fault:
                name = self.random.choice(sorted(faults))
                self.done[name] += 1
                with suppress(KeyError):
                    # A part that is away just now cannot be hurt.
                    faults[name]()
                next_fault += every
            while self.sent < prompts and self.sent < prompts * (now - began) / (length * 0.95):
                self.prompt()
            self._tick()
        while self.sent < prompts:
            self.prompt()
        self._end(began)

    def kill_loop(self, kills: Counter[str]) -> None:
        """kill -9 so many times of each part, in random order and at random moments of its life."""
        began, left = self._start(), +kills
        next_kill, next_prompt = began + WARM_UP / 2, began
        while left:
            now = time.monotonic()
            if now >= next_prompt:
                self.prompt()
                next_prompt = now + 1.5
            [name] = self.random.choices(list(left), list(left.values()))
            if now >= next_kill and self._may_die(name):
                self.kill(name)
                self.done[f"{name} killed"] += 1
                left = left - Counter([name])
                next_kill = time.monotonic() + self.random.uniform(0.05, LONGEST_PAUSE)
            self._tick()
        self._end(began)

    def _may_die(self, name: str) -> bool:
        """Most kills wait until the part has come up: else a busy machine would never get beyond starting it."""
        if not self.system.is_alive(name):
            return False
        return self.random.random() < WHILE_STARTING or self.system.is_ready(name)

    def _start(self) -> float:
        system = self.system
        no_limits = (
            "Policy.objects.update_or_create(pk=1, defaults=dict(daily_limit=0, waiting_limit=0, queue_limit=0))"
        )
        system.manage("shell", "-c", f"from generations.models import Policy; {no_limits}")
        system.manage("collectstatic", "--noinput", "--verbosity", "0")
        system.start("queue", "worker", "bot", "web")
        return time.monotonic()

    def _tick(self) -> None:
        now = time.monotonic()
        due = [action for at, action in self._later if at <= now]
        self._later = [(at, action) for at, action in self._later if at > now]
        for action in due:
            action()
        self.system.tend()
        if now - self._looked_at >= 1:
            self._look()
            self._looked_at = now
        time.sleep(0.1)

    def _look(self) -> None:
        """How large the parts are, and a visit to the site, so that it has something to do."""
        self.loads.append(os.getloadavg()[0])
        if len(self.loads) % 60 == 0:
            print(f"{time.strftime('%H:%M')} sent {self.sent}, faults {sum(self.done.values())}", flush=True)
        serves(self.system.web_port, self.random.choice(["/healthz", "/admin/login/", "/media/nothing"]))
        for name, memory in self.memory.items():
            if size := self.system.memory(name):
                memory.note(self.system.processes[name].pid, size)

    def _end(self, began: float) -> None:
        """No more faults. Everything gets the time to come to rest, then it is counted."""
        self.system.telegram.clear_faults()
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (self._nothing_to_come() and settled(self.system)):
            self._tick()
            time.sleep(0.5)
        self.account = count(self.system)
        self.seconds = time.monotonic() - began
        if not serves(self.system.web_port, "/healthz"):
            self.account.problems.append("the web site does not answer")
        for name, memory in self.memory.items():
            if memory.grew > MOST_GROWTH:
                self.account.problems.append(f"{name} grew {memory.grew:.0f} MB")

    def _nothing_to_come(self) -> bool:
        rows = self.system.query("SELECT count(*) AS n FROM generations_generation")[0]["n"]
        return not self._later and rows >= self.sent

    def summary(self) -> str:
        assert self.account is not None
        loads = sorted(self.loads)
        return "\n".join(
            [
                f"{self.system.template.backend.name}, seed {self.seed}, {self.seconds / 60:.1f} min,"
                f" load average {loads[len(loads) // 2]:.1f}, at most {loads[-1]:.1f}",
                f"  sent {self.sent}; {self.account}",
                "  faults: " + ", ".join(f"{name} {number}" for name, number in sorted(self.done.items())),
                f"  {sum(self.done.values())} in all; started again {self.system.restarts} times",
                *(f"  {name} {memory}" for name, memory in self.memory.items()),
                *(f"  PROBLEM {problem}" for problem in self.account.problems),
            ]
        )
