"""F12: strangers post to the webhook, with and without what they may have learned. Nothing of theirs has an effect."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from telegram_bot import texts
from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle
from tests.faults.strangers import FIRST_UPDATE
from tests.faults.system import FULL_LENGTH, WEBHOOK_SECRET, System
from tests.installation import ROOT

ALICE, BOB = 101, 102
# The first account of an installation; the number says nothing about a person in a chat.
OPERATOR_ID = 1
KNOWN = {"X-Telegram-Bot-Api-Secret-Token": WEBHOOK_SECRET}
STRANGERS_PER_SECOND = 1000
SECONDS_TO_SERVE = 2


@pytest.fixture
def system(new_system: StartSystem) -> System:
    """With the site, and Telegram posting to it."""
    system = new_system(webhook=True)
    system.start("queue", "web", "worker", "bot")
    return system


def post(system: System, update: object, **headers: str) -> int:
    return httpx.post(system.webhook, json=update, headers=headers, trust_env=False, timeout=20).status_code


def stored(system: System) -> list[int]:
    rows = system.query("SELECT update_id FROM telegram_bot_receivedupdate ORDER BY update_id")
    return [row["update_id"] for row in rows]


def handled(system: System) -> bool:
    return not system.query("SELECT 1 FROM telegram_bot_receivedupdate WHERE handled_at IS NULL")


def update_from(person: dict[str, Any], number: int, text: str) -> dict[str, Any]:
    message = {"message_id": number % 1000, "date": 1, "chat": {"id": person["id"], "type": "private"}, "from": person}
    return {"update_id": number, "message": {**message, "text": text}}


def test_strangers_get_nothing_in_and_an_old_update_does_nothing(telegram: Simulator, system: System) -> None:
    real = telegram.say(ALICE, "a cat")
    system.wait_for(lambda: len(system.rows()) == 1, "the real one is accepted")
    forged = update_from({"id": BOB, "is_bot": False, "first_name": "B"}, FIRST_UPDATE, "a dog")
    name = next(iter(KNOWN))
    assert post(system, forged) == 403
    assert post(system, forged, **{name: ""}) == 403
    assert post(system, forged, **{name: WEBHOOK_SECRET.lower()}) == 403
    assert post(system, forged, **{name: f"{WEBHOOK_SECRET}x"}) == 403
    assert httpx.get(system.webhook, headers=KNOWN, trust_env=False).status_code == 405
    assert httpx.put(system.webhook, json=forged, headers=KNOWN, trust_env=False).status_code == 405
    assert httpx.post(system.webhook, data={"a": "b"}, headers=KNOWN, trust_env=False).status_code == 415
    # Whoever records what Telegram posts may post it again, also with other words under the same number.
    assert post(system, real, **KNOWN) == 200
    assert post(system, {**forged, "update_id": real["update_id"]}, **KNOWN) == 200
    account = settle(system)
    assert (account.accepted, account.videos) == (1, 1)
    assert stored(system) == [real["update_id"]]
    assert len(telegram.bot_messages(ALICE)) == 1
    assert telegram.bot_messages(BOB) == []
    is_still_serving(system)


def test_nobody_becomes_an_operator_or_somebody_else_by_what_an_update_says(
    telegram: Simulator, system: System
) -> None:
    """Posted with the right secret, as if Telegram itself had been deceived."""
    system.environment["DJANGO_SUPERUSER_PASSWORD"] = "a-password-that-nobody-uses"
    system.manage("createsuperuser", "--noinput", "--username", "operator", "--email", "operator@example.org")
    review = "from generations.models import Policy; Policy.objects.update_or_create(pk=1, defaults={'review': %r})"
    system.manage("shell", "-c", review % "before_generation")
    telegram.say(ALICE, "a cat")
    system.wait_for(lambda: telegram.bot_messages(ALICE), "it waits for an operator")
    row = system.row("a cat")
    assert row["status"] == "pending_review"

    operator = {"id": OPERATOR_ID, "is_bot": False, "first_name": "operator", "username": "operator", "is_staff": True}
    telegram.add_chat(OPERATOR_ID)
    for number, text in enumerate([f"/approve {row['id']}", f"/ban {BOB}", f"/cancel {row['id']}"], FIRST_UPDATE):
        assert post(system, update_from(operator, number, text), **KNOWN) == 200
    press = {"id": "1", "from": {"id": BOB, "is_bot": False, "first_name": "B"}, "chat_instance": "1"}
    status = {"message_id": row["status_message_id"], "date": 1, "chat": {"id": ALICE, "type": "private"}}
    for number, data in enumerate([f"cancel:{row['id']}", f"approve:{row['id']}"], FIRST_UPDATE + 10):
        callback = {"update_id": number, "callback_query": {**press, "message": status, "data": data}}
        assert post(system, callback, **KNOWN) == 200
    system.wait_for(lambda: handled(system), "all of them are handled")
    assert system.row("a cat")["status"] == "pending_review"
    assert system.query("SELECT 1 FROM generations_requester WHERE banned_at IS NOT NULL") == []
    answers = [message.text for message in telegram.bot_messages(OPERATOR_ID)]
    # A command about one's own videos is no operator's: it names no job, whoever writes it.
    unknown = texts.commands().partition("\n")[0]
    assert {answer.partition("\n")[0] for answer in answers} == {unknown, texts.cancel_how()}
    assert telegram.bot_messages(BOB) == []

    approve = "from generations import models, operating; from django.contrib.auth.models import User;"
    approve += f"assert operating.approve(models.Generation.objects.get(pk={row['id']}), by=User.objects.get())"
    system.manage("shell", "-c", approve)
    account = settle(system)
    assert (account.accepted, account.videos) == (1, 1)


@contextmanager
def strangers_knock(system: System, seconds: float) -> Iterator[dict[str, Any]]:
    """Gives what they were answered, once it is over."""
    arguments = [str(system.web_port), str(seconds), str(STRANGERS_PER_SECOND)]
    command = [sys.executable, "-m", "tests.faults.strangers", *arguments]
    found: dict[str, Any] = {}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as crowd:
        try:
            yield found
            output, _ = crowd.communicate(timeout=60 + seconds)
            found |= json.loads(output)
        finally:
            crowd.kill()


def test_real_updates_get_through_while_a_thousand_strangers_a_second_knock(
    telegram: Simulator, system: System
) -> None:
    seconds = system.lasting(4, 60)
    waits, people = [], range(10, 10 + int(seconds))
    with strangers_knock(system, seconds) as crowd:
        for person in people:
            began = time.monotonic()
            update = telegram.say(person, f"cat {person} !seconds=0.05")
            system.wait_for(lambda: update["update_id"] in stored(system), "it is stored")  # noqa: B023
            waits.append(time.monotonic() - began)
            time.sleep(max(0.0, 1 - waits[-1]))
    print(f"{crowd['rate']:.0f} strangers a second; stored after {sorted(waits)[len(waits) // 2]:.2f} s,", end=" ")
    print(f"at most {max(waits):.2f} s")
    assert set(crowd["answers"]) == {"403"}
    assert not [number for number in stored(system) if number >= FIRST_UPDATE]
    # One of them may meet a pause of a busy machine; at full length none may.
    assert (max(waits) if FULL_LENGTH else sorted(waits)[len(waits) // 2]) < SECONDS_TO_SERVE
    account = settle(system)
    assert account.accepted == account.videos == len(people)
    is_still_serving(system)
