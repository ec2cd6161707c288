"""/telegram/webhook/: only Telegram gets an update in, each is committed before it is confirmed, nothing is a 500."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError, connection, transaction
from django.test import Client, RequestFactory

from generations.models import Policy, Status
from telegram_bot import inbox, texts, webhook
from telegram_bot.models import ReceivedUpdate
from tests.telegram_bot.conftest import ALICE, BOB, House, base, job, jobs, set_policy, updates

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

ADDRESS = "/telegram/webhook/"
SECRET = "the-Right_secret-0123456789"


@pytest.fixture(autouse=True)
def _webhook_mode(settings: LazySettings) -> None:
    settings.WEBHOOK_SECRET = SECRET


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 25
    while any(thread.name == "webhook" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a thread still waits for the database"
        time.sleep(0.01)


def post(body: Any, secret: str | None = SECRET, content_type: str = "application/json") -> int:
    """The status. The client raises what would become a 500."""
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    headers = {} if secret is None else {"X-Telegram-Bot-Api-Secret-Token": secret}
    answer = Client().post(ADDRESS, data, content_type=content_type, headers=headers)
    assert answer.content == b""
    assert not answer.cookies
    return answer.status_code


def stored() -> list[int]:
    return list(ReceivedUpdate.objects.values_list("update_id", flat=True))


def test_an_update_is_committed_when_telegram_gets_its_answer() -> None:
    update = base(7, text="a red circle")
    assert post(update) == 200
    # Another connection than the one that stored it.
    assert json.loads(ReceivedUpdate.objects.get().payload) == update


# --- strangers


@pytest.mark.parametrize(
    "secret",
    [None, "", "wrong", SECRET.lower(), SECRET[:-1], f"{SECRET},{SECRET}", f"{SECRET} x", "pässword", "x" * 8000],
    ids=["none", "empty", "wrong", "case", "cut", "twice", "more", "not ascii", "long"],
)
def test_without_the_right_secret_nothing_is_taken(secret: str | None) -> None:
    assert post(base(7, text="a cat"), secret) == 403
    assert stored() == []


def test_the_secret_in_the_address_is_not_enough() -> None:
    query = f"?secret_token={SECRET}&X-Telegram-Bot-Api-Secret-Token={SECRET}"
    answer = Client().post(ADDRESS + query, json.dumps(base(7)), content_type="application/json")
    assert answer.status_code == 403
    assert stored() == []


def test_a_strangers_body_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*args: Any) -> bytes:
        raise AssertionError("read")

    monkeypatch.setattr("django.core.handlers.wsgi.WSGIRequest.read", read)
    assert post(b"x" * 3_000_000, "wrong") == 403


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "patch", "options"])
def test_only_post_is_taken(method: str) -> None:
    answer = getattr(Client(), method)(ADDRESS, headers={"X-Telegram-Bot-Api-Secret-Token": SECRET})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(kind: str) -> None:
    assert post(json.dumps(base(7)), content_type=kind) == 415
    assert stored() == []


def test_json_with_its_encoding_named_is_json_too() -> None:
    assert post(base(7), content_type="application/json; charset=utf-8") == 200
    assert stored() == [7]


def test_without_a_configured_secret_there_is_no_such_page(settings: LazySettings) -> None:
    settings.WEBHOOK_SECRET = ""
    assert post(base(7), "") == 404
    assert post(base(7), None) == 404
    assert stored() == []


def test_neither_the_secret_nor_a_guess_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert post(base(7)) == 200
        assert post("{") == 200
        assert post(base(8), "a-wrong-guess") == 403
    assert caplog.text
    assert SECRET not in caplog.text
    assert "a-wrong-guess" not in caplog.text


# --- what can never be stored: told "taken", so that it does not come again for a day


@pytest.mark.parametrize(
    "body",
    [
        " ",
        "{",
        "[]",
        "null",
        "7",
        '"text"',
        b"\xff\xfe\x00",
        b'{"update_id": 1, "text": "\xff"}',
        "[" * 100_000 + "]" * 100_000,
        '{"update_id": 1, "message": ' + '{"a": ' * 100_000 + "1" + "}" * 100_000 + "}",
        '{"update_id": ' + "9" * 10_000 + "}",
        {"message": {}},
        {"update_id": None},
        {"update_id": "x"},
        {"update_id": 1.5},
        {"update_id": 2**70},
        {"update_id": -(2**70)},
        {"update_id": [1]},
        base(7, text="x" * 3_000_000),
    ],
    ids=lambda body: str(body)[:20],
)
def test_a_body_that_cannot_be_stored_is_not_sent_again_and_stops_nothing(body: Any) -> None:
    assert post(body) == 200
    assert stored() == []
    assert post(base(8)) == 200
    assert stored() == [8]


@pytest.mark.parametrize(
    "update",
    [
        base(7, text="NUL \x00, half a pair \ud83d, 😀"),
        base(7, text="😀" * 4096),
        base(7, future={"field": [1, {"x": None}]}) | {"more": True},
        base(7, chat={"id": 2**63, "type": "private"}, **{"from": {"id": 2**63}}),
        base(2**63 - 1),
        {"update_id": 7, "callback_query": {"id": "1", "from": {"id": BOB}, "data": "x" * 64}},
        {"update_id": 7},
    ],
    ids=["NUL", "emoji", "unknown", "large ids", "largest", "button", "nothing"],
)
def test_whatever_else_comes_is_stored_as_it_is(update: dict[str, Any]) -> None:
    assert post(update) == 200
    assert json.loads(ReceivedUpdate.objects.get().payload) == update


def test_raw_bytes_of_half_a_pair_are_stored_too() -> None:
    assert post(b'{"update_id": 7, "x": "\xed\xa0\xbd"}') == 200
    assert stored() == [7]


def test_a_body_that_was_cut_on_its_way_is_asked_for_again() -> None:
    whole = json.dumps(base(7, text="a cat")).encode()
    request = RequestFactory().post(
        ADDRESS, whole, content_type="application/json", headers={"X-Telegram-Bot-Api-Secret-Token": SECRET}
    )
    cut = WSGIRequest({**request.META, "wsgi.input": BytesIO(whole[:-20])})
    assert webhook.webhook(cut).status_code == 400
    assert stored() == []
    assert post(whole) == 200
    assert stored() == [7]


# --- again, and at once


async def test_an_update_that_is_replayed_makes_one_job_and_one_answer(house: House) -> None:
    update = base(7, text="a cat")
    for _ in range(2):
        assert await sync_to_async(post)(update) == 200
        await house.consumer.run_once()
    house.restart()
    # The same number with other words is the same update.
    assert await sync_to_async(post)(base(7, text="a dog")) == 200
    await house.consumer.run_once()
    assert [row.prompt for row in await jobs()] == ["a cat"]
    assert len(house.telegram.bot_messages(ALICE)) == 1


def test_the_same_update_sent_many_times_at_once_is_one_row() -> None:
    barrier = threading.Barrier(8)

    def send(number: int) -> int:
        barrier.wait()
        return post(base(7 + number % 2))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(8))) == {200}
    assert stored() == [7, 8]


# --- what an update may claim


async def test_nobody_is_an_operator_by_what_an_update_says(house: House, admin_user: Any) -> None:
    await set_policy(review=Policy.Review.BEFORE_GENERATION)
    person = {"id": admin_user.pk, "is_bot": False, "first_name": "admin", "username": "admin", "is_staff": True}
    for number, text in enumerate(["a cat", "/approve 1", "/ban 1002"], start=7):
        assert await sync_to_async(post)(base(number, text=text, **{"from": person})) == 200
    await house.consumer.run_once()
    assert (await job()).status == Status.PENDING_REVIEW
    answers = [message.text for message in house.telegram.bot_messages(ALICE)]
    assert answers[1:] == [texts.for_several(texts.commands(), 2)]


async def test_a_button_pressed_for_anothers_job_is_kept_and_does_nothing(house: House) -> None:
    [status] = await house.say("a cat")
    row = await job()
    press = {
        "id": "1",
        "from": {"id": BOB, "is_bot": False, "first_name": "Bob"},
        "message": base(1)["message"] | {"message_id": status.id},
        "chat_instance": "1",
        "data": f"cancel:{row.pk}",
    }
    assert await sync_to_async(post)({"update_id": 10**9, "callback_query": press}) == 200
    await house.consumer.run_once()
    assert (await job()).status == Status.QUEUED
    assert len(house.telegram.bot_messages(ALICE)) == 1
    assert house.telegram.bot_messages(BOB) == []
    last = (await updates())[-1]
    assert (last.update_id, last.error, bool(last.handled_at)) == (10**9, "", True)


# --- a database that is slow or away


def hold_the_table() -> None:
    """Within a transaction: nobody else can write. SQLite's transaction alone does that."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE telegram_bot_receivedupdate IN ACCESS EXCLUSIVE MODE")


def test_while_the_database_is_locked_telegram_is_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PATIENCE", 0.4)
    with transaction.atomic():
        hold_the_table()
        assert post(base(7)) == 503
    assert post(base(7)) == 200
    assert stored() == [7]


def test_a_database_that_refuses_is_a_503_and_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(updates: object) -> int:
        raise OperationalError("could not connect to db.internal as t2v")

    monkeypatch.setattr(inbox, "store", refuse)
    assert post(base(7)) == 503


def test_a_database_that_hangs_for_long_takes_few_threads_and_none_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    thaw = threading.Event()
    monkeypatch.setattr(webhook, "PATIENCE", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "store", lambda updates: thaw.wait(20))
        try:
            assert {post(base(number)) for number in range(webhook.AT_ONCE + 3)} == {503}
            waiting = [thread for thread in threading.enumerate() if thread.name == "webhook"]
            assert len(waiting) == webhook.AT_ONCE
        finally:
            thaw.set()
        for thread in waiting:
            thread.join(5)
    monkeypatch.setattr(webhook, "PATIENCE", 4.0)
    assert post(base(7)) == 200
    assert stored() == [7]


def test_a_machine_without_threads_left_asks_for_patience_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(webhook.threading.Thread, "start", no_more)
        assert {post(base(7)) for _ in range(webhook.AT_ONCE + 1)} == {503}
    assert post(base(7)) == 200


def test_the_answer_comes_within_five_seconds() -> None:
    """Telegram's patience is not ours to test; the two waits in one answer add up to less."""
    assert webhook.PATIENCE + webhook.DROP_SECONDS < 5
