"""F9: many people at once, and one who does not stop. Everybody is answered, fairly and within Telegram's limits."""

from __future__ import annotations

from collections import Counter

from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, settle

PEOPLE = range(1, 26)
EACH = 3
GREEDY = 900
GREEDY_SENDS = 20
# The product's own default.
WAITING_LIMIT = 5


def test_a_flood_is_answered_message_by_message_and_nobody_is_pushed_aside(
    telegram: Simulator, new_system: StartSystem
) -> None:
    system = new_system()
    for number in range(GREEDY_SENDS):
        telegram.say(GREEDY, f"greedy {number} !seconds=0.02")
    for number in range(EACH):
        for person in PEOPLE:
            telegram.say(person, f"cat {number} of {person} !seconds=0.02")
    # The worker comes later, so that the caps are met.
    system.start("queue", "bot")
    everybody = len(PEOPLE) * EACH + GREEDY_SENDS
    answered = "SELECT count(*) AS n FROM telegram_bot_receivedupdate WHERE handled_at IS NOT NULL"
    system.wait_for(lambda: system.query(answered)[0]["n"] == everybody, "every message is handled", 180)
    accepted = Counter(row["chat_id"] for row in system.rows())
    assert accepted == {GREEDY: WAITING_LIMIT} | dict.fromkeys(PEOPLE, EACH)
    refusals = [message for message in telegram.bot_messages(GREEDY) if "unfinished videos" in message.text]
    assert len(refusals) == GREEDY_SENDS - WAITING_LIMIT
    system.start("worker")
    account = settle(system, 300)
    assert account.accepted == account.videos == WAITING_LIMIT + len(PEOPLE) * EACH
    order = [entry["prompt"].startswith("greedy") for entry in system.journal.read() if entry["event"] == "begin"]
    assert sum(order[: len(PEOPLE) + 1]) == 1, "one of the greedy person's in the first round"
    at = sorted(call.at for call in telegram.calls() if call.chat_id)
    # Five seconds, because calls that were spaced out well may arrive in a bunch on a busy machine.
    assert most_in(at, 5) <= 5 * 30
    for person in (GREEDY, *PEOPLE):
        assert most_in([call.at for call in telegram.calls(chat_id=person)], 5) <= 5 + 2


def most_in(times: list[float], seconds: float) -> int:
    """The largest number of calls in any window."""
    return max(sum(begin <= at < begin + seconds for at in times[first:]) for first, begin in enumerate(times))
