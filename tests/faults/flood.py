"""Everybody writes at once, and one person does not stop. Then the count: who was answered, how soon, and how fairly.

Accepting a message takes from the moment it enters the stand-in to the moment when the database says what is answered:
the job's row is committed before that, and a refusal is decided by it. The answers themselves go out at the pace that
Telegram allows, so after a flood they take as long as their number says.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.faults.account import STATUS_WORDS, Account, count, settled
from tests.faults.system import System

GREEDY = 900_000
WARM_UP_PERSON = 900_001
# The product's own default.
PERSON_LIMIT = 5
# What the run must keep to, on two cores that have nothing else to do.
ACCEPT_SECONDS = 2.0
# Whoever sends 83 messages a second comes after everybody else.
GREEDY_ACCEPT_SECONDS = 5.0
ADMIN_SECONDS = 2.0
GROWTH_MB = 50
CALLS_A_SECOND = 30
CALLS_A_SECOND_IN_CHAT = 1
# A worker chooses a row and then writes that it has: what was queued in between is no injustice.
CHOOSING_SECONDS = 0.5

COVERS = re.compile(r"\(This answers your last (\d+) messages\.\)$")
RING = "Your video is ready."


@dataclass(frozen=True)
class Plan:
    """people: that many, `each` prompts of each, at random times; greedy: of one person, evenly. seconds: in all."""

    people: int = 1000
    each: int = 5
    greedy: int = 5000
    seconds: float = 60
    # Of the stand-in engine, per video.
    render_seconds: float = 0.3
    queue_limit: int = 200
    seed: int = 1
    # How many times slower a machine may be than the limits want it.
    slack: float = 1

    def messages(self) -> list[tuple[float, int, str]]:
        """When, who, what; in order."""
        chance = random.Random(self.seed)
        found = [(self.seconds * number / self.greedy, GREEDY, f"greedy {number}") for number in range(self.greedy)]
        for person in range(1, self.people + 1):
            times = sorted(chance.uniform(0, self.seconds) for _ in range(self.each))
            found += [(at, person, f"cat {number} of {person}") for number, at in enumerate(times)]
        return sorted((at, who, f"{text} !seconds={self.render_seconds}") for at, who, text in found)


@dataclass
class Figures:
    """What a run has shown. Seconds and megabytes."""

    messages: int = 0
    accepted: int = 0
    videos: int = 0
    refused: int = 0
    refusals_sent: int = 0
    accept_median: float = 0
    accept_p95: float = 0
    accept_most: float = 0
    greedy_accept_p95: float = 0
    most_unfinished: int = 0
    most_unfinished_of_a_person: int = 0
    out_of_turn: int = 0
    calls: int = 0
    most_calls_in_a_second: int = 0
    most_calls_in_a_second_in_a_chat: int = 0
    seconds_until_answered: float = 0
    seconds_until_delivered: float = 0
    bot_mb: float = 0
    bot_grew_mb: float = 0
    admin_list_median: float = 0
    admin_list_most: float = 0
    load_average: float = 0


@dataclass
class Flood:
    system: System
    plan: Plan = field(default_factory=Plan)
    figures: Figures = field(default_factory=Figures)
    account: Account | None = None
    _said_at: dict[int, float] = field(default_factory=dict)
    _said_by: Counter[int] = field(default_factory=Counter)
    _memory: list[float] = field(default_factory=list)
    _admin: list[float] = field(default_factory=list)
    _loads: list[float] = field(default_factory=list)

    def run(self) -> None:
        system = self.system
        visitor = self._operator()
        system.start("queue", "worker", "bot", "web")
        # Whatever is loaded with the first message and the first video is no growth.
        system.telegram.say(WARM_UP_PERSON, "the first cat")
        system.wait_for(lambda: system.rows() and settled(system), "the first video")
        system.query(f"UPDATE generations_policy SET queue_limit = {self.plan.queue_limit}")
        visitor.log_in()
        began, over = time.time(), threading.Event()
        watch = threading.Thread(target=self._watch, args=(visitor, over))
        watch.start()
        try:
            self._speak(began)
            system.wait_for(self._is_answered, "every message is answered", self._patience())
            self.figures.seconds_until_answered = time.time() - began
            system.wait_for(lambda: settled(system), "every job has ended and was told", self._patience())
            self.figures.seconds_until_delivered = time.time() - began
        finally:
            over.set()
            watch.join()
            visitor.client.close()
        self.account = count(system)
        self._measure()
        self._judge()

    def summary(self) -> str:
        assert self.account is not None
        figures = [f"  {name.replace('_', ' ')}: {round(value, 2)}" for name, value in asdict(self.figures).items()]
        plan = f"{self.plan.people} people x {self.plan.each} and one x {self.plan.greedy} in {self.plan.seconds:.0f} s"
        problems = [f"  PROBLEM {problem}" for problem in self.account.problems]
        return "\n".join([f"{self.system.template.backend.name}, {plan}", *figures, f"  {self.account}", *problems])

    # --- while it happens

    def _operator(self) -> Visitor:
        name, password = "operator", secrets.token_urlsafe(16)
        self.system.environment |= {"DJANGO_SUPERUSER_PASSWORD": password}
        self.system.manage("createsuperuser", "--noinput", "--username", name, "--email", "operator@example.org")
        self.system.manage("collectstatic", "--noinput", "--verbosity", "0")
        return Visitor(self.system.web_port, name, password)

    def _speak(self, began: float) -> None:
        for at, who, text in self.plan.messages():
            time.sleep(max(0.0, began + at - time.time()))
            now = time.time()
            update = self.system.telegram.say(who, text)
            self._said_at[update["update_id"]] = now
            self._said_by[who] += 1

    def _watch(self, visitor: Visitor, over: threading.Event) -> None:
        while not over.wait(1):
            self._memory.append(self.system.memory("bot"))
            self._loads.append(os.getloadavg()[0])
            self._admin.append(visitor.seconds_for("/admin/generations/generation/"))

    def _is_answered(self) -> bool:
        time.sleep(0.5)
        [row] = self.system.query("SELECT count(*) AS n FROM telegram_bot_receivedupdate WHERE handled_at IS NOT NULL")
        return int(row["n"]) > len(self._said_at)

    def _patience(self) -> float:
        """Each of them is an answer, and those of all go out at 25 a second; three times that."""
        return 120 + 3 * (len(self._said_at) / 25 + self.plan.queue_limit * self.plan.render_seconds)

    # --- afterwards

    def _measure(self) -> None:
        assert self.account is not None
        figures, rows = self.figures, self.system.rows()
        updates = self.system.query("SELECT update_id, chat, decided_at, error FROM telegram_bot_receivedupdate")
        waits = {GREEDY: list[float](), 0: list[float]()}
        for update in updates:
            if said := self._said_at.get(update["update_id"]):
                waits[GREEDY if update["chat"] == str(GREEDY) else 0].append(stamp(update["decided_at"]) - said)
            if update["error"]:
                self.account.problems.append(f"update {update['update_id']}: {update['error']}")
        figures.messages, figures.accepted = len(self._said_at), self.account.accepted - 1
        figures.videos = self.account.videos - 1
        figures.refused = figures.messages - figures.accepted
        figures.accept_median, figures.accept_p95 = statistics.median(waits[0]), percentile(waits[0], 95)
        figures.accept_most = max(waits[0])
        figures.greedy_accept_p95 = percentile(waits[GREEDY], 95)
        figures.most_unfinished = most_at_once(rows)
        figures.most_unfinished_of_a_person = max(
            most_at_once(row for row in rows if row["chat_id"] == person) for person in self._said_by
        )
        figures.out_of_turn = out_of_turn(rows)
        calls = self.system.telegram.calls()
        figures.calls = len(calls)
        figures.most_calls_in_a_second = most_within([call.at for call in calls], 1)
        chats: dict[Any, list[float]] = {}
        for call in calls:
            if call.chat_id is not None:
                chats.setdefault(call.chat_id, []).append(call.at)
        figures.most_calls_in_a_second_in_a_chat = max(most_within(times, 1) for times in chats.values())
        figures.bot_mb, figures.bot_grew_mb = max(self._memory), max(self._memory) - self._memory[0]
        figures.admin_list_median, figures.admin_list_most = statistics.median(self._admin), max(self._admin)
        figures.load_average = statistics.median(self._loads)

    def _judge(self) -> None:
        assert self.account is not None
        problems, figures = self.account.problems, self.figures
        accepted = Counter(row["chat_id"] for row in self.system.rows())
        for person, said in self._said_by.items():
            refusals = [covered(message.text) for message in self._refusals(person)]
            figures.refusals_sent += len(refusals)
            if sum(refusals) != said - accepted[person]:
                told = f"{sum(refusals)} of {said - accepted[person]} refused messages of {person} were answered"
                problems.append(told)
        slack = self.plan.slack
        limits = {
            "accept_p95": ACCEPT_SECONDS * slack,
            "greedy_accept_p95": GREEDY_ACCEPT_SECONDS * slack,
            "most_unfinished": self.plan.queue_limit,
            "most_unfinished_of_a_person": PERSON_LIMIT,
            "out_of_turn": 0,
            # Calls that were spaced out well arrive in a bunch where the stand-in does not get its turn.
            "most_calls_in_a_second": CALLS_A_SECOND * min(slack, 2),
            "most_calls_in_a_second_in_a_chat": CALLS_A_SECOND_IN_CHAT,
            "bot_grew_mb": GROWTH_MB,
            "admin_list_most": ADMIN_SECONDS * slack,
        }
        for name, limit in limits.items():
            if (value := getattr(figures, name)) > limit:
                problems.append(f"{name.replace('_', ' ')}: {value:.2f}, more than {limit}")

    def _refusals(self, person: int) -> list[Any]:
        messages = self.system.telegram.bot_messages(person)
        words = [message for message in messages if not message.video and message.text != RING]
        return [message for message in words if not message.text.startswith(STATUS_WORDS)]


class Visitor:
    """An operator with a browser."""

    def __init__(self, port: int, name: str, password: str) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
        self._form = {"username": name, "password": password, "next": "/admin/"}

    def log_in(self) -> None:
        self.client.get("/admin/login/")
        form = {**self._form, "csrfmiddlewaretoken": self.client.cookies["csrftoken"]}
        assert self.client.post("/admin/login/", data=form).status_code == 302

    def seconds_for(self, path: str) -> float:
        """How long a page takes, to its last byte."""
        began = time.monotonic()
        assert self.client.get(path).status_code == 200
        return time.monotonic() - began


def stamp(moment: Any) -> float:
    """PostgreSQL gives a time, SQLite its words."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return float(moment.timestamp())


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else max(values, default=0.0)


def most_within(times: Iterable[float], seconds: float) -> int:
    """The largest number of them in any window of so many seconds."""
    ordered, first, most = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def most_at_once(rows: Iterable[dict[str, Any]]) -> int:
    """How many were unfinished at one time."""
    changes = []
    for row in rows:
        changes += [(stamp(row["created_at"]), 1), (stamp(row["finished_at"]), -1)]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def out_of_turn(rows: list[dict[str, Any]]) -> int:
    """Rows that were begun although somebody waited who had been served longer ago, or never."""
    begun = [(stamp(row["queued_at"]), stamp(row["started_at"]), row["chat_id"]) for row in rows]
    served: dict[int, float] = {}
    wrong = 0
    for _, start, person in sorted(begun, key=lambda entry: entry[1]):
        waiting = {who for queued, later, who in begun if queued < start - CHOOSING_SECONDS and later > start}
        wrong += any(served.get(who, 0.0) < served.get(person, 0.0) for who in waiting)
        served[person] = start
    return wrong


def covered(text: str) -> int:
    """How many messages a refusal answers."""
    found = COVERS.search(text)
    return int(found[1]) if found else 1
