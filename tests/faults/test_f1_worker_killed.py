"""F1: the worker is killed: while it renders, when the file is written, and by the same prompt again and again."""

from __future__ import annotations

import pytest

from telegram_bot.simulator import Simulator
from tests.faults.conftest import is_still_serving, settle
from tests.faults.system import System

ALICE, BOB = 1, 2


def test_a_worker_killed_while_it_renders_costs_nothing_but_time(telegram: Simulator, system: System) -> None:
    telegram.say(ALICE, "a cat !die-once=5")
    telegram.say(BOB, "a dog")
    system.wait_for(lambda: not system.is_alive("worker"), "the worker dies")
    system.start("worker")
    account = settle(system)
    assert (account.accepted, account.videos, account.failures) == (2, 2, 0)
    assert system.journal.count("begin", "a cat !die-once=5") == 2
    assert system.row("a cat !die-once=5")["worker_deaths"] == 1
    is_still_serving(system)


@pytest.mark.parametrize("moment", ["!die-before-row", "!die-after-row"])
def test_a_finished_video_is_sent_and_not_made_again_when_the_worker_dies(
    telegram: Simulator, system: System, moment: str
) -> None:
    prompt = f"a cat {moment}"
    telegram.say(ALICE, prompt)
    system.wait_for(lambda: not system.is_alive("worker"), "the worker dies")
    [file] = system.media.rglob("*.mp4")
    system.start("worker")
    account = settle(system)
    assert (account.accepted, account.videos) == (1, 1)
    assert system.journal.count("begin", prompt) == 1
    [message] = telegram.bot_messages(ALICE)
    assert message.video
    assert telegram.file(message.video["file_id"]) == file.read_bytes()


def test_a_prompt_that_kills_every_worker_gets_one_message_and_the_next_is_served(
    telegram: Simulator, system: System
) -> None:
    telegram.say(ALICE, "a cat !die=2")
    telegram.say(BOB, "a dog")

    def ended() -> bool:
        system.tend()
        return system.row("a cat !die=2")["status"] == "failed"

    system.wait_for(lambda: system.rows(), "accepted")
    system.wait_for(ended, "the prompt is given up")
    account = settle(system)
    assert (account.accepted, account.videos, account.failures) == (2, 1, 1)
    assert system.journal.count("begin", "a cat !die=2") == 2
