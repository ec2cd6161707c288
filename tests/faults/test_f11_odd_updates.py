"""F11: updates that are huge, deep, broken or absurd. The bot lives, stays small, and answers the next person."""

from __future__ import annotations

from typing import Any

from telegram_bot.simulator import Simulator
from tests.faults.account import settled
from tests.faults.conftest import is_still_serving
from tests.faults.system import System

MEGABYTES = 50


def message(number: int, **content: Any) -> dict[str, Any]:
    person = {"id": 500 + number, "is_bot": False, "first_name": "T"}
    chat = {"id": 500 + number, "type": "private", "first_name": "T"}
    return {"update_id": 1000 + number, "message": {"message_id": 1, "date": 1, "chat": chat, "from": person} | content}


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"reply_to_message": inner}
    return inner


def test_no_update_kills_the_bot_or_makes_it_grow(telegram: Simulator, system: System) -> None:
    telegram.say(1, "/start")
    system.wait_for(lambda: telegram.bot_messages(1), "the bot has warmed up")
    before = system.memory("bot")
    odd: list[dict[str, Any]] = [
        message(1, text="x" * 3_000_000),
        message(2, text="\0 \ud800 text"),
        message(3, text="😀" * 4096),
        message(4, text="a cat", future_thing={"a": [1, 2, 3]}),
        message(5, text="a cat", entities="not a list"),
        message(6, **nested(400)),
        message(7, text="a cat", chat={"id": 2**63, "type": "private"}),
        message(8, text="a cat", **{"from": {"id": 2**63, "is_bot": False, "first_name": "T"}}),
        message(9, text=["not", "a", "text"]),
        message(10, text="a cat", date="yesterday"),
        {"update_id": 1011},
        {"update_id": 1012, "message": None},
        {"update_id": 1013, "message": []},
        {"update_id": 1014, "unknown_kind": {"chat": {"id": 1}}},
        {"update_id": -5, "message": {}},
    ]
    for person in range(501, 511):
        telegram.add_chat(person)
    for update in odd:
        telegram.inject(update)
    waiting = "SELECT count(*) AS n FROM telegram_bot_receivedupdate WHERE handled_at IS NULL"
    system.wait_for(
        lambda: telegram.pending_updates() == 0 and system.query(waiting)[0]["n"] == 0, "all are over and done with", 60
    )
    is_still_serving(system)
    assert system.memory("bot") - before < MEGABYTES
    assert len(telegram.bot_messages(501)) == 1, "too long, said once"
    system.wait_for(lambda: settled(system), "what was accepted has ended")
    for row in system.rows():
        if row["chat_id"] < 2**62:
            assert sum(bool(message.video) for message in telegram.bot_messages(row["chat_id"])) == 1, row["prompt"][
                :50
            ]
