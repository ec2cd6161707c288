"""F2: the queue server stops, refuses to write, or forgets everything. The database still knows."""

from __future__ import annotations

import time

from telegram_bot.simulator import Simulator
from tests.faults.conftest import is_still_serving, settle
from tests.faults.system import FULL_LENGTH, System

PEOPLE = range(1, 21 if FULL_LENGTH else 5)


def all_answered(telegram: Simulator) -> bool:
    return all(telegram.bot_messages(person) for person in PEOPLE)


def test_prompts_are_answered_while_the_queue_server_is_away_and_served_when_it_is_back(
    telegram: Simulator, system: System
) -> None:
    system.kill("queue")
    for person in PEOPLE:
        telegram.say(person, f"cat {person}")
    system.wait_for(lambda: all_answered(telegram), "everybody is told that it is queued", 60)
    assert all(telegram.bot_messages(person)[0].texts[0].startswith("Queued") for person in PEOPLE)
    time.sleep(system.lasting(0, 30))
    system.start("queue")
    account = settle(system, 90)
    assert account.accepted == account.videos == len(PEOPLE)
    assert system.is_alive("worker")
    assert system.is_alive("bot")
    is_still_serving(system)


def test_a_video_is_delivered_though_the_queue_server_dies_while_it_is_made(
    telegram: Simulator, system: System
) -> None:
    telegram.say(1, "a slow cat !seconds=2")
    system.wait_for(lambda: system.journal.count("begin", "a slow cat !seconds=2"), "it renders")
    system.kill("queue")
    time.sleep(system.lasting(0, 30))
    account = settle(system, 60)
    assert (account.accepted, account.videos) == (1, 1)
    assert system.journal.count("begin", "a slow cat !seconds=2") == 1
    system.start("queue")
    is_still_serving(system)


def test_everything_that_waits_is_served_after_the_queue_was_wiped(telegram: Simulator, system: System) -> None:
    for person in PEOPLE:
        telegram.say(person, f"cat {person} !seconds=1")
    system.wait_for(lambda: len(system.rows()) == len(PEOPLE), "all are accepted")
    with system.redis() as queue:
        queue.flushall()
    account = settle(system, 90)
    assert account.accepted == account.videos == len(PEOPLE)
    assert all(row["attempt"] == 1 for row in system.rows())
    is_still_serving(system)


def test_a_queue_server_that_takes_no_more_writes_costs_no_prompt(telegram: Simulator, system: System) -> None:
    """A full memory, or for Redis a disk that it cannot save to: every write is refused."""
    with system.redis() as queue:
        queue.config_set("maxmemory", 1)
        for person in PEOPLE:
            telegram.say(person, f"cat {person}")
        system.wait_for(lambda: all_answered(telegram), "everybody is told that it is queued", 60)
        time.sleep(system.lasting(0, 30))
        queue.config_set("maxmemory", 0)
    account = settle(system, 90)
    assert account.accepted == account.videos == len(PEOPLE)
    system.tend()
    is_still_serving(system)
