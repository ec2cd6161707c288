"""F5: two workers and one job. A worker that comes back from the dead can neither write nor send."""

from __future__ import annotations

import time

from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle


def test_many_rings_for_few_prompts_and_two_workers_make_one_video_each(
    telegram: Simulator, new_system: StartSystem
) -> None:
    system = new_system()
    system.start("queue", "worker", "second worker", "bot")
    for person in (1, 2, 3, 4):
        telegram.say(person, f"cat {person} !seconds=0.5")
    system.ring(10)
    system.wait_for(lambda: len(system.rows()) == 4, "all are accepted")
    account = settle(system)
    assert (account.accepted, account.videos) == (4, 4)
    assert all(system.journal.count("begin", f"cat {person} !seconds=0.5") == 1 for person in (1, 2, 3, 4))
    is_still_serving(system)


def test_a_worker_that_was_frozen_past_its_lease_changes_nothing_when_it_goes_on(
    telegram: Simulator, new_system: StartSystem
) -> None:
    system = new_system()
    system.start("queue", "worker", "bot")
    prompt = "a cat !seconds=2"
    telegram.say(1, prompt)
    system.wait_for(lambda: system.journal.count("begin", prompt), "it renders")
    system.freeze("worker")
    system.start("second worker")
    account = settle(system)
    before = system.row(prompt)
    time.sleep(system.lasting(0, 600))
    system.thaw("worker")
    system.wait_for(lambda: "Job OK" in system.log("worker") or not system.is_alive("worker"), "it has noticed")
    account = settle(system)
    assert (account.accepted, account.videos) == (1, 1)
    assert system.row(prompt) == before, "the first worker wrote nothing"
    assert (before["attempt"], before["worker_deaths"]) == (2, 1)
    assert system.journal.count("begin", prompt) == 2
    system.tend()
    is_still_serving(system)
