"""F1, continued: an engine that raises, runs out of memory, makes nonsense, or never comes back from C."""

from __future__ import annotations

import pytest

from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle
from tests.faults.system import System

ALICE = 1


@pytest.mark.parametrize("hang", ["!hang=3", "!hang-gil=3"])
def test_a_render_that_never_comes_back_is_ended_and_told(
    telegram: Simulator, new_system: StartSystem, hang: str
) -> None:
    limits = {
        "settings.STEP_TIMEOUT_SECONDS": 2,
        "generations.lease.LOCKED": 1,
        "generations.models.generation.MAX_WORKER_DEATHS": 1,
    }
    system = new_system(constants=limits)
    system.start("queue", "worker", "bot")
    prompt = f"a cat {hang}"
    telegram.say(ALICE, prompt)

    def given_up() -> bool:
        system.tend()
        return bool(system.rows()) and system.row(prompt)["status"] == "failed"

    system.wait_for(given_up, "the prompt is given up")
    account = settle(system)
    assert (account.accepted, account.failures) == (1, 1)
    assert system.journal.count("begin", prompt) == 1
    assert system.restarts == 1
    system.tend()
    is_still_serving(system)


def test_whatever_the_engine_raises_is_told_once_and_the_next_is_served(telegram: Simulator, system: System) -> None:
    """The number is how often each is tried."""
    faults = {"raise": 1, "exit": 1, "memory": 3, "nan": 3, "broken": 1}
    for number, fault in enumerate(faults, start=1):
        telegram.say(number, f"a cat !{fault}=4 !seconds=0.1")
    system.wait_for(lambda: len(system.rows()) == len(faults), "all are accepted")

    def done() -> bool:
        system.tend()
        return all(row["status"] == "failed" for row in system.rows())

    system.wait_for(done, "all have failed")
    account = settle(system)
    assert (account.accepted, account.videos, account.failures) == (5, 0, 5)
    tries = {fault: system.journal.count("begin", f"a cat !{fault}=4 !seconds=0.1") for fault in faults}
    assert tries == faults
    assert system.restarts == 0
    is_still_serving(system)
