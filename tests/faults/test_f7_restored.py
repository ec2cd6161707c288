"""F7: the database is restored from an older copy, the queue server's memory is not, or the media folder is gone."""

from __future__ import annotations

import shutil

from telegram_bot.simulator import Simulator
from tests.faults.account import settled
from tests.faults.conftest import is_still_serving, settle
from tests.faults.system import System

PARTS = ("worker", "bot")


def stop(system: System) -> None:
    for name in PARTS:
        system.kill(name)


def test_a_database_from_an_older_copy_finishes_what_it_knows_and_drops_what_it_does_not(
    telegram: Simulator, system: System
) -> None:
    telegram.say(1, "an old cat !seconds=3")
    # What the copy does not know cannot be kept from happening twice: it must know the status message.
    system.wait_for(lambda: any(row["status_message_id"] for row in system.rows()), "the status message is stored")
    system.wait_for(lambda: system.journal.read(), "it is rendered")
    stop(system)
    copy = system.backup()
    system.start(*PARTS)
    telegram.say(2, "a cat after the copy")
    system.wait_for(lambda: len(system.rows()) == 2 and settled(system), "both have ended")
    stop(system)
    # Rings of rows that the copy has never heard of.
    system.ring(3)
    system.restore(copy)
    telegram.say(3, "a cat after the restore")
    system.start(*PARTS)
    system.wait_for(lambda: len(system.rows()) == 2, "the new prompt is accepted")
    system.wait_for(lambda: settled(system), "every job has ended and was told")
    assert [(row["prompt"], row["status"], row["delivery"]) for row in system.rows()] == [
        ("an old cat !seconds=3", "succeeded", "delivered"),
        ("a cat after the restore", "succeeded", "delivered"),
    ]
    # The copy did not know that it had been delivered. An edit of the same message shows it once all the same.
    for person in (1, 2, 3):
        assert [bool(message.video) for message in telegram.bot_messages(person)] == [True]
    with system.redis() as queue:
        system.wait_for(lambda: queue.llen("rq:queue:gpu") == 0, "rings without a row are dropped")


def test_a_lost_media_folder_is_told_and_does_not_stop_the_rest(telegram: Simulator, system: System) -> None:
    telegram.say(1, "a cat !seconds=2")
    system.wait_for(lambda: any(row["status_message_id"] for row in system.rows()), "the status message is stored")
    system.wait_for(lambda: system.journal.read(), "it is rendered")
    system.kill("bot")
    system.wait_for(lambda: any(row["status"] == "succeeded" for row in system.rows()), "the video is made")
    shutil.rmtree(system.media)
    system.start("bot")
    system.wait_for(lambda: settled(system), "it was told")
    [message] = telegram.bot_messages(1)
    assert "its file has been lost" in message.text
    assert [(row["delivery"], row["delivery_error"]) for row in system.rows()] == [
        ("undeliverable", "told in words: the file is missing in the storage")
    ]
    is_still_serving(system)


def test_a_queue_server_restored_from_an_old_copy_makes_nothing_twice(telegram: Simulator, system: System) -> None:
    for person in (1, 2):
        telegram.say(person, f"cat {person}")
    system.wait_for(lambda: len(system.rows()) == 2, "both are accepted")
    settle(system)
    # The rings of jobs that have ended long ago.
    system.ring(5)
    is_still_serving(system)
    account = settle(system)
    assert (account.accepted, account.videos) == (3, 3)
    assert all(row["attempt"] == 1 for row in system.rows())
