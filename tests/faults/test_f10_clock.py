"""F10: the clock jumps by two hours, forwards and backwards, on one machine or between two."""

from __future__ import annotations

import pytest

from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle
from tests.faults.system import System

TWO_HOURS = 7200
TEN_MINUTES = 600


def shift(system: System, seconds: float, *names: str) -> None:
    for name in names:
        (system.folder / f"clock.{name}").write_text(str(seconds))


@pytest.mark.parametrize("seconds", [TWO_HOURS, -TWO_HOURS])
def test_a_jump_while_a_video_is_made_and_others_wait_runs_nobody_twice(
    telegram: Simulator, new_system: StartSystem, seconds: float
) -> None:
    system = new_system(movable_clock=True)
    system.start("queue", "worker", "bot")
    for person in (1, 2, 3):
        telegram.say(person, f"cat {person} !seconds=1")
    system.wait_for(lambda: len(system.rows()) == 3, "all are accepted")
    system.wait_for(lambda: system.journal.read(), "the first is rendered")
    shift(system, seconds, "bot", "worker")
    account = settle(system)
    assert (account.accepted, account.videos) == (3, 3)
    assert all(system.journal.count("begin", f"cat {person} !seconds=1") == 1 for person in (1, 2, 3))
    assert all(row["worker_deaths"] == 0 for row in system.rows())
    assert all(0 <= row["render_seconds"] < TWO_HOURS for row in system.rows())
    is_still_serving(system)


@pytest.mark.parametrize("seconds", [TEN_MINUTES, -TEN_MINUTES])
def test_a_worker_whose_clock_is_ten_minutes_off_works_all_the_same(
    telegram: Simulator, new_system: StartSystem, seconds: float
) -> None:
    system = new_system(movable_clock=True)
    if not system.url:
        pytest.skip("SQLite serves one machine, which has one clock")
    shift(system, seconds, "worker")
    system.start("queue", "worker", "bot")
    for person in (1, 2):
        telegram.say(person, f"cat {person} !seconds=2")
    system.wait_for(lambda: len(system.rows()) == 2, "both are accepted")
    account = settle(system)
    assert (account.accepted, account.videos) == (2, 2)
    assert all(row["attempt"] == 1 for row in system.rows())


def test_a_worker_that_died_before_the_clock_went_back_is_not_waited_for_two_hours(
    telegram: Simulator, new_system: StartSystem
) -> None:
    system = new_system(movable_clock=True)
    system.start("queue", "worker", "bot")
    telegram.say(1, "a cat !die-once=5")
    system.wait_for(lambda: not system.is_alive("worker"), "the worker dies")
    shift(system, -TWO_HOURS, "bot", "worker")
    system.start("worker")
    account = settle(system, 90)
    assert (account.accepted, account.videos) == (1, 1)
    is_still_serving(system)
