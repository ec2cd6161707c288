"""F4: Telegram refuses, stalls, loses its answers, is away, or does not know the bot any more."""

from __future__ import annotations

from telegram_bot.simulator import Simulator
from tests.faults.account import settled
from tests.faults.conftest import is_still_serving, settle
from tests.faults.system import FULL_LENGTH, System

EDIT = "editMessageMedia"
WAIT = 37 if FULL_LENGTH else 5


def test_each_chat_ends_right_whatever_telegram_does_to_its_video(telegram: Simulator, system: System) -> None:
    """All at once, so that one chat's trouble would be seen in the others."""
    telegram.fail(EDIT, status=500, times=2, chat_id=1)
    telegram.fail(EDIT, retry_after=WAIT, chat_id=2)
    telegram.drop_reply(EDIT, chat_id=3)
    telegram.cut_reply(EDIT, chat_id=4)
    telegram.hang(EDIT, seconds=3, chat_id=5)
    telegram.fail(EDIT, status=403, chat_id=6)
    telegram.fail(EDIT, status=400, chat_id=7)
    telegram.fail(EDIT, status=400, chat_id=8)
    telegram.fail("sendVideo", status=400, chat_id=8)
    telegram.fail(EDIT, status=413, chat_id=9)
    telegram.drop_reply(EDIT, processed=False, chat_id=10)
    people = range(1, 12)
    for person in people:
        telegram.say(person, f"cat {person} !seconds=0.1")
    system.wait_for(lambda: len(system.rows()) == len(people), "all are accepted")
    account = settle(system)
    assert account.accepted == len(people)
    outcome = {row["chat_id"]: row["delivery"] for row in system.rows()}
    unreached = {6, 8}
    assert outcome == {person: "undeliverable" if person in unreached else "delivered" for person in people}
    reasons = {row["chat_id"]: row["delivery_error"] for row in system.rows()}
    assert all(reasons[person] for person in unreached)
    assert "does not accept it" in telegram.bot_messages(8)[0].text
    assert len(telegram.calls(EDIT, chat_id=9)) == 2
    assert len(system.query("SELECT id FROM generations_generationevent WHERE kind = 'made smaller'")) == 1
    assert system.journal.count("begin", "cat 9 !seconds=0.1") == 1, "and not rendered again"
    flooded = [call.at for call in telegram.calls(chat_id=2)]
    refused = next(call.at for call in telegram.calls(EDIT, chat_id=2))
    assert not [at for at in flooded if 0 < at - refused < WAIT - 0.1], "nobody called inside the wait"
    is_still_serving(system)


def test_a_new_message_whose_answer_is_lost_is_not_sent_twice(telegram: Simulator, system: System) -> None:
    """The one send that cannot be proved: recorded as unknown, and left to a person."""
    telegram.drop_reply("sendVideo", times=-1)
    telegram.say(1, "a cat !seconds=2")
    telegram.wait_for(lambda: telegram.bot_messages(1), 60)
    telegram.delete(1, telegram.bot_messages(1)[0].id)
    system.wait_for(lambda: settled(system), "it has ended")
    account = settle(system)
    assert (account.accepted, account.videos, account.unknown) == (1, 1, 1)
    assert len(telegram.calls("sendVideo")) == 1
    is_still_serving(system)


def test_everything_is_delivered_when_telegram_is_back(telegram: Simulator, system: System) -> None:
    for person in (1, 2, 3):
        telegram.say(person, f"cat {person} !seconds=1")
    system.wait_for(lambda: len(system.rows()) == 3, "all are accepted")
    telegram.refuse_connections(system.lasting(6, 60))
    account = settle(system, 90)
    assert (account.accepted, account.videos) == (3, 3)
    is_still_serving(system)


def test_a_revoked_token_stops_the_bot_and_a_new_start_delivers_what_was_kept(
    telegram: Simulator, system: System
) -> None:
    telegram.say(1, "a cat !seconds=3")
    system.wait_for(lambda: system.journal.count("begin", "a cat !seconds=3"), "it renders")
    telegram.fail("*", status=401, times=-1)
    telegram.fail("getUpdates", status=401, times=-1)
    # Ends the poll that was open all the while.
    telegram.say(2, "a dog")
    system.wait_for(lambda: not system.is_alive("bot"), "the bot stops")
    assert "Telegram does not accept BOT_TOKEN" in system.log("bot")
    system.wait_for(lambda: system.row("a cat !seconds=3")["status"] == "succeeded", "the worker goes on")
    telegram.clear_faults()
    system.start("bot")
    system.wait_for(lambda: len(system.rows()) == 2, "the second prompt is accepted")
    account = settle(system)
    assert (account.accepted, account.videos) == (2, 2)
