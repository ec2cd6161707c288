"""What operators are told when something is wrong: once when it has lasted, and once when it is over."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.utils import timezone
from redis import Redis

from generations import operating
from generations.models import Delivery, Requester, Status
from generations.templatetags.health import WORDS
from generations.worker import GenerationWorker
from telegram_bot import alerts, conditions, lease, texts
from telegram_bot.conditions import Finding
from telegram_bot.models import Alert, Bulletin
from telegram_bot.operators import SEE
from telegram_bot.simulator import Simulator
from tests.generations.conftest import MakeRow, make_row
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House, set_policy
from tests.telegram_bot.test_operators import make_operator

__all__ = ["make_row"]

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

NOW = timezone.now()
UNREACHABLE = {"redis": Finding("unreachable")}
WELL = {"redis": None}
BEGINS = "⚠️ The queue server cannot be reached. Prompts are accepted and wait."
OVER = "✅ Over, after 12 min: The queue server cannot be reached. Prompts are accepted and wait."

operator = sync_to_async(make_operator)


@pytest.fixture(autouse=True)
def _bob_has_pressed_start(telegram: Simulator) -> None:
    telegram.add_chat(BOB)


async def look(house: House, minutes: float, found: Mapping[str, Finding | None]) -> None:
    """What the bot process does from time to time, so many minutes after the beginning."""
    await sync_to_async(alerts.judge)(found, NOW + timedelta(minutes=minutes))
    await house.herald.run_once()


def told(house: House, chat_id: int = ALICE) -> list[str]:
    return [message.text for message in house.telegram.bot_messages(chat_id)]


async def test_what_lasts_is_told_once_and_so_is_that_it_is_over(house: House) -> None:
    await operator(ALICE, SEE)
    for minutes in (0, 1.9):
        await look(house, minutes, UNREACHABLE)
    assert told(house) == []
    for minutes in (2, 2.1, 11.9):
        await look(house, minutes, UNREACHABLE)
    assert told(house) == [BEGINS]
    for minutes in (12, 14.9):
        await look(house, minutes, WELL)
    assert told(house) == [BEGINS]
    for minutes in (15, 15.1, 30):
        await look(house, minutes, WELL)
    assert told(house) == [BEGINS, OVER]


async def test_each_operator_is_told_in_their_own_language(house: House) -> None:
    await operator(ALICE, SEE)
    await operator(BOB, SEE)
    await sync_to_async(Requester.objects.create)(user_id=ALICE, language_code="de")
    for minutes in (0, 3):
        await look(house, minutes, UNREACHABLE)
    assert told(house) == ["⚠️ Der Queue-Server ist nicht erreichbar. Prompts werden angenommen und warten."]
    assert told(house, BOB) == [BEGINS]


async def test_what_comes_and_goes_within_two_minutes_is_not_told(house: House) -> None:
    await operator(ALICE, SEE)
    for minutes in range(10):
        await look(house, minutes, UNREACHABLE if minutes % 2 else WELL)
    assert told(house) == []
    assert await sync_to_async(Bulletin.objects.count)() == 0


async def test_a_recovery_that_does_not_hold_is_not_told(house: House) -> None:
    await operator(ALICE, SEE)
    for minutes, found in (
        (0, UNREACHABLE),
        (3, UNREACHABLE),
        (4, WELL),
        (5, WELL),
        (6, UNREACHABLE),
        (8, WELL),
        (10, {}),
    ):
        await look(house, minutes, found)
    assert told(house) == [BEGINS]
    await look(house, 11, WELL)
    assert told(house)[1:] == [OVER.replace("12", "8")]


async def test_what_goes_on_is_told_again_every_six_hours(house: House) -> None:
    await operator(ALICE, SEE)
    for minutes in (0, 2, 361, 362, 363, 721, 722):
        await look(house, minutes, UNREACHABLE)
    assert told(house) == [
        BEGINS,
        BEGINS.replace("The", "Still, for 6 h 2 min: The", 1),
        BEGINS.replace("The", "Still, for 12 h 2 min: The", 1),
    ]


async def test_two_bot_processes_tell_it_once(house: House) -> None:
    """One of them has looked, and the other is a moment behind with what it saw before."""
    await operator(ALICE, SEE)
    await operator(BOB, SEE)
    await look(house, 0, UNREACHABLE)
    [stale] = await sync_to_async(list)(Alert.objects.all())
    await look(house, 2, UNREACHABLE)
    assert [await sync_to_async(step)(NOW) for step in (stale.tell, stale.remind)] == [False, False]
    for minutes in (12, 15):
        [stale] = await sync_to_async(list)(Alert.objects.all())
        await look(house, minutes, WELL)
    assert [await sync_to_async(stale.recover)(), await sync_to_async(Alert.open)("redis")] == [False, None]
    assert (told(house), told(house, BOB)) == ([BEGINS, OVER], [BEGINS, OVER])


async def test_a_restart_in_between_changes_nothing(house: House) -> None:
    await operator(ALICE, SEE)
    await look(house, 0, UNREACHABLE)
    house.restart()
    await look(house, 2, UNREACHABLE)
    house.restart()
    await look(house, 3, UNREACHABLE)
    await look(house, 12, WELL)
    house.restart()
    await look(house, 15, WELL)
    house.restart()
    await look(house, 16, WELL)
    assert told(house) == [BEGINS, OVER]


async def test_what_could_not_be_told_while_it_lasted_is_told_afterwards_in_one_message(house: House) -> None:
    """Such as that Telegram was away."""
    await operator(ALICE, SEE)
    house.telegram.fail("sendMessage", status=429, times=-1)
    await look(house, 0, UNREACHABLE)
    await look(house, 2, UNREACHABLE)
    await look(house, 12, WELL)
    house.telegram.clear_faults()
    house.application.bot.rate_limiter._paused_until.clear()  # type: ignore[union-attr] # as time would have done
    await sync_to_async(Bulletin.objects.update)(not_before=None)
    await look(house, 15, WELL)
    assert told(house) == [OVER]


async def test_that_the_token_was_revoked_is_told_when_the_bot_has_a_valid_one(house: House) -> None:
    await operator(ALICE, SEE)
    await sync_to_async(alerts.token_refused)()
    await sync_to_async(alerts.token_refused)()
    await look(house, 0, {"bot": Finding("token_refused")})
    await sync_to_async(Alert.objects.update)(since=NOW - timedelta(minutes=10))
    for minutes in (2, 5, 6):
        await look(house, minutes, {"bot": None})
    assert told(house) == ["✅ Over, after 12 min: Telegram does not accept the bot's token. The bot stands still."]


async def test_alerts_go_to_the_operators_chat_where_there_is_one(house: House) -> None:
    await operator(ALICE, SEE)
    await set_policy(operators_chat_id=GROUP)
    for minutes in (0, 2):
        await look(house, minutes, UNREACHABLE)
    assert (told(house), told(house, GROUP)) == ([], [BEGINS])


async def test_with_nobody_to_tell_it_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    for minutes in (0, 2, 3):
        await look(house, minutes, UNREACHABLE)
    [record] = [record for record in caplog.records if record.name == alerts.__name__]
    assert (record.levelno, record.message) == (
        logging.ERROR,
        f"{BEGINS} (chats that are told: none)",
    )


async def test_what_is_wrong_stands_in_ops(house: House) -> None:
    await operator(ALICE, SEE)
    for minutes in (0, 2):
        await look(house, minutes, UNREACHABLE)
    since = timezone.localtime(NOW).strftime("%H:%M")
    [_, panel] = await house.say("/ops")
    assert panel.text.startswith(f"⚠️ Since {since}: The queue server cannot be reached. Prompts are accepted and wait.")


# --- what is found


@pytest.fixture
def _a_bot(transactional_db: None) -> None:
    lease.take("7", "bot elsewhere:1")


def found() -> dict[str, Finding | None]:
    return {kind: finding for kind, finding in conditions.look().items() if finding is not None}


@pytest.mark.usefixtures("_a_bot")
def test_workers_disk_failures_and_deliveries_are_watched(
    own_queue_server: Redis, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ago(minutes: int) -> datetime:
        return timezone.now() - timedelta(minutes=minutes)

    assert found() == {"worker": Finding("none", lasting=timedelta(minutes=10))}
    operating.pause(by=make_operator(ALICE))
    assert "worker" not in conditions.look(), "somebody works on it"
    waiting = make_row(queued_at=ago(2))
    assert found() == {"worker": Finding("none_while_prompts_wait")}
    GenerationWorker(["gpu"], name="one", connection=own_queue_server).register_birth()
    assert found() == {}
    waiting.delete()

    for _ in range(5):
        make_row(status=Status.FAILED, finished_at=ago(9))
    assert found() == {"failures": Finding("burst", {"failed": 5, "all": 5, "minutes": 10})}
    others = [make_row(status=Status.SUCCEEDED, finished_at=ago(1)) for _ in range(5)]
    assert found() == {}, "no more than half of them"
    type(others[0]).objects.update(finished_at=ago(11))
    assert "failures" not in conditions.look(), "nothing ended since, so nobody knows"
    make_row(status=Status.SUCCEEDED, finished_at=ago(1))
    assert conditions.look()["failures"] is None

    stuck = {"status": Status.SUCCEEDED, "delivery": Delivery.WAITING, "delivery_error": "Bad Gateway"}
    make_row(**stuck, delivery_attempts=2, finished_at=ago(20))
    make_row(**stuck, delivery_attempts=3, finished_at=ago(9))
    assert found() == {}
    make_row(**stuck, delivery_attempts=3, finished_at=ago(11))
    assert found() == {"delivery": Finding("stuck", {"number": 1, "minutes": 10, "reason": "Bad Gateway"})}

    for _ in range(10):
        make_row(status=Status.PENDING_REVIEW)
    assert "review" not in found(), "each of them is shown"
    make_row(status=Status.SUCCEEDED, delivery=Delivery.HELD)
    assert found()["review"] == Finding("crowd", {"number": 11})

    monkeypatch.setattr(conditions, "LOW_DISK", 2**62)
    assert set(found()) == {"delivery", "disk", "review"}


@pytest.mark.usefixtures("_a_bot")
def test_of_workers_nothing_is_known_while_the_queue_server_is_away(settings: LazySettings, make_row: MakeRow) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    make_row(queued_at=timezone.now() - timedelta(hours=1))
    seen = conditions.look()
    assert seen["redis"] == Finding("unreachable")
    assert "worker" not in seen


@pytest.mark.usefixtures("_a_bot", "own_queue_server")
def test_what_keeps_the_bot_from_serving_is_found_by_its_own_complaint() -> None:
    assert conditions.look()["bot"] is None
    lease.renew("7", "bot elsewhere:1", "conflict")
    lease.PollingLease.objects.update(problem_since=timezone.now() - timedelta(minutes=2))
    assert conditions.look()["bot"] == Finding("conflict")


def test_every_alert_has_words() -> None:
    facts: dict[str, Any] = {
        "free": 7e8,
        "least": 5e7,
        "failed": 6,
        "all": 9,
        "minutes": 10,
        "number": 2,
        "reason": "?",
    }
    told = [("disk", "low"), ("failures", "burst"), ("delivery", "stuck"), ("worker", "none"), *WORDS]
    words = [texts.alert(kind, state, facts) for kind, state in told if state != lease.NOT_RUNNING]
    assert words[:3] == [
        "The disk is nearly full: 700 MB are free. Below 50 MB no prompts are taken.",
        "Of the last 9 videos 6 failed, within 10 minutes.",
        "2 results could not be sent for more than 10 minutes. The last reason: ?",
    ]
    assert not [sentence for sentence in words if not sentence.endswith((".", "?"))]
