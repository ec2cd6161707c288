"""F6: the bot is killed at every point between Telegram's queue and the answer; nothing is lost or answered twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle
from tests.faults.system import System

PEOPLE = range(1, 16)
EACH = 2


def everybody_asks(telegram: Simulator) -> None:
    for number in range(EACH):
        for person in PEOPLE:
            telegram.say(person, f"cat {number} of {person} !seconds=0.05")


def all_are_accepted(system: System) -> None:
    system.wait_for(lambda: len(system.rows()) == len(PEOPLE) * EACH, "all are accepted")


def assert_each_once_and_in_order(system: System) -> None:
    account = settle(system, 180)
    assert (account.accepted, account.videos) == (30, 30)
    for person in PEOPLE:
        prompts = [row["prompt"] for row in system.rows() if row["chat_id"] == person]
        assert prompts == [f"cat {number} of {person} !seconds=0.05" for number in range(EACH)]


@contextmanager
def database_locked(system: System) -> Iterator[None]:
    """Nobody can write, so what was fetched cannot be stored."""
    if system.url:
        with psycopg.connect(system.url) as connection:
            connection.execute("LOCK TABLE telegram_bot_receivedupdate IN ACCESS EXCLUSIVE MODE")
            yield
            connection.rollback()
    else:
        with closing(sqlite3.connect(system.folder / "db.sqlite3", timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


def test_killed_again_and_again_while_thirty_messages_wait(telegram: Simulator, new_system: StartSystem) -> None:
    system = new_system()
    everybody_asks(telegram)
    # No worker yet: a bot that is killed while it sends a new message leaves an outcome that nobody can know.
    system.start("queue", "bot")
    for stored in (5, 15, 25):
        system.wait_for(lambda: len(system.rows()) >= stored, f"{stored} are accepted")  # noqa: B023
        system.kill("bot")
        system.start("bot")
    all_are_accepted(system)
    system.start("worker")
    assert_each_once_and_in_order(system)
    is_still_serving(system)


def test_killed_between_fetching_and_storing(telegram: Simulator, system: System) -> None:
    with database_locked(system):
        telegram.say(1, "a cat")
        telegram.say(2, "a dog")
        telegram.wait_for(lambda: any(call.status for call in telegram.calls("getUpdates")[-3:]), 60)
        system.kill("bot")
    assert system.rows() == []
    system.start("bot")
    system.wait_for(lambda: len(system.rows()) == 2, "both are accepted")
    account = settle(system)
    assert (account.accepted, account.videos) == (2, 2)


def test_killed_while_it_says_that_the_prompt_is_queued(telegram: Simulator, system: System) -> None:
    """Whether that message went out cannot be known, so it is not repeated. The video comes either way."""
    telegram.hang("sendMessage", seconds=60, chat_id=1)
    telegram.hang("sendMessage", seconds=60, chat_id=2, processed=False)
    for person in (1, 2):
        telegram.say(person, f"cat {person} !seconds=3")
    telegram.wait_for(lambda: len(telegram.calls("sendMessage")) == 2, 60)
    system.kill("bot")
    system.start("bot")
    account = settle(system)
    assert (account.accepted, account.videos) == (2, 2)
    assert len(telegram.calls("sendMessage")) == 2
    is_still_serving(system)


def test_killed_while_it_uploads(telegram: Simulator, system: System) -> None:
    """Telegram has the video, or half of it, and the bot does not know. An edit may be repeated."""
    telegram.hang("editMessageMedia", seconds=60, chat_id=1)
    telegram.hang("editMessageMedia", seconds=60, chat_id=2, processed=False)
    for person in (1, 2):
        telegram.say(person, f"cat {person} !seconds=0.5")
    telegram.wait_for(lambda: len(telegram.calls("editMessageMedia")) == 2, 60)
    system.kill("bot")
    system.start("bot")
    account = settle(system)
    assert (account.accepted, account.videos) == (2, 2)
    assert all(len(telegram.messages(person)) == 2 for person in (1, 2)), "the prompt and the video, nothing else"
    assert all(system.journal.count("begin", f"cat {person} !seconds=0.5") == 1 for person in (1, 2))


def test_updates_that_telegram_sends_again_are_not_answered_again(telegram: Simulator, system: System) -> None:
    telegram.drop_reply("getUpdates", times=2)
    sent = [telegram.say(person, f"cat {person}") for person in (1, 2, 3)]
    system.wait_for(lambda: len(system.rows()) == 3, "all are accepted")
    settle(system)
    system.kill("bot")
    for update in sent:
        telegram.inject(update)
    system.start("bot")
    is_still_serving(system)
    account = settle(system)
    assert (account.accepted, account.videos) == (4, 4)
    assert all(len(telegram.bot_messages(person)) == 1 for person in (1, 2, 3))
