"""F1, for prompts that are rendered together: whatever one of them does, the others get their videos."""

from __future__ import annotations

import pytest

from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle
from tests.faults.system import System

FAULTY, INNOCENT = 1, (2, 3, 4)


@pytest.fixture
def system(new_system: StartSystem) -> System:
    """Four prompts fit into one render. The worker is not there yet, so that four can wait."""
    system = new_system(environment={"BATCH_SIZE": "4"})
    system.start("queue", "bot")
    return system


def say_four_and_start_the_worker(telegram: Simulator, system: System, faulty: str) -> None:
    for person in (FAULTY, *INNOCENT):
        telegram.say(person, faulty if person == FAULTY else f"a dog {person}")
    system.wait_for(lambda: len(system.rows()) == 4, "all are accepted")
    system.start("worker")


def journal(system: System) -> list[int]:
    """How often each innocent prompt was begun."""
    return [system.journal.count("begin", f"a dog {person}") for person in INNOCENT]


def test_a_prompt_that_kills_every_worker_does_not_take_those_beside_it_along(
    telegram: Simulator, system: System
) -> None:
    say_four_and_start_the_worker(telegram, system, "a cat !die=2")

    def ended() -> bool:
        system.tend()
        return bool(system.row("a cat !die=2")["status"] == "failed")

    system.wait_for(ended, "the prompt is given up")
    account = settle(system)
    assert (account.accepted, account.videos, account.failures) == (4, 3, 1)
    assert system.journal.count("begin", "a cat !die=2") == 2
    assert journal(system) == [2, 2, 2], "once with it, once alone"
    assert [system.row(f"a dog {person}")["worker_deaths"] for person in INNOCENT] == [1, 1, 1]
    system.tend()
    is_still_serving(system)


@pytest.mark.parametrize(
    ("fault", "tries", "tries_of_others"),
    [("broken", 1, [1, 1, 1]), ("nan", 3, [1, 1, 1]), ("raise", 2, [2, 2, 2]), ("memory", 3, [2, 2, 2])],
)
def test_whatever_one_of_them_meets_is_told_once_and_the_others_get_their_videos(
    telegram: Simulator, system: System, fault: str, tries: int, tries_of_others: list[int]
) -> None:
    faulty = f"a cat !{fault}=4 !seconds=0.1"
    say_four_and_start_the_worker(telegram, system, faulty)
    account = settle(system)
    assert (account.accepted, account.videos, account.failures) == (4, 3, 1)
    assert system.journal.count("begin", faulty) == tries
    assert journal(system) == tries_of_others
    is_still_serving(system)
