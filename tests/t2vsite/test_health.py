"""/healthz: what a prober or a load balancer is told."""

from __future__ import annotations

import socket
import time
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from redis import Redis

from generations.models import Status
from generations.templatetags.health import WORDS
from generations.worker import GenerationWorker
from telegram_bot import lease
from telegram_bot.models import Alert, PollingLease
from telegram_bot.polling import UNREACHABLE
from tests.generations.conftest import MakeRow, make_row

__all__ = ["make_row"]

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ALL_WELL = {"status": "ok", "database": "ok", "redis": "ok", "worker": "ok", "bot": "ok"}


@pytest.fixture(autouse=True)
def _a_bot(db: None) -> None:
    lease.take("7", "bot elsewhere:1")


def ask(query: str = "") -> tuple[int, dict[str, str]]:
    answer = Client().get(f"/healthz{query}")
    assert "no-store" in answer.headers["Cache-Control"]
    return answer.status_code, answer.json()


@pytest.mark.usefixtures("own_queue_server")
def test_everything_at_work_is_healthy() -> None:
    assert ask() == (200, ALL_WELL)
    assert ask("?only=web") == (200, {"status": "ok", "database": "ok", "redis": "ok"})


def test_without_redis_it_says_so_and_nothing_secret(settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://:hunter2@127.0.0.1:1/0"
    for query in ("", "?only=web"):
        code, told = ask(query)
        assert (code, told["status"], told["database"], told["redis"]) == (503, "unavailable", "ok", "unreachable")
        assert "hunter2" not in str(told)


@pytest.mark.usefixtures("own_queue_server")
def test_without_the_database_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseError("could not connect to db.internal as t2v")

    monkeypatch.setattr(connection, "cursor", refuse)
    assert ask() == (
        503,
        {"status": "unavailable", "database": "unreachable", "redis": "ok", "worker": "unknown", "bot": "unknown"},
    )


def test_a_redis_that_hangs_delays_the_answer_by_little(settings: LazySettings, make_row: MakeRow) -> None:
    make_row(queued_at=timezone.now() - timedelta(hours=1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        start = time.monotonic()
        code, told = ask()
    assert (code, told["redis"], told["worker"]) == (503, "unreachable", "unknown")
    assert time.monotonic() - start < 4


# --- the worker


def test_prompts_that_no_worker_takes_are_red_and_the_web_process_is_not(
    own_queue_server: Redis, make_row: MakeRow
) -> None:
    make_row(queued_at=timezone.now() - timedelta(seconds=70))
    assert ask() == (503, ALL_WELL | {"status": "unavailable", "worker": "none_while_prompts_wait"})
    assert ask("?only=web")[0] == 200


def test_a_prompt_that_has_just_come_gets_a_minute(own_queue_server: Redis, make_row: MakeRow) -> None:
    make_row(queued_at=timezone.now() - timedelta(seconds=50))
    assert ask() == (200, ALL_WELL)


def test_a_long_queue_with_a_worker_at_it_is_healthy(own_queue_server: Redis, make_row: MakeRow) -> None:
    make_row(queued_at=timezone.now() - timedelta(hours=1))
    worker = GenerationWorker(["gpu"], name="one", connection=own_queue_server)
    worker.register_birth()
    assert ask() == (200, ALL_WELL)
    own_queue_server.delete(worker.key)
    assert ask()[1]["worker"] == "none_while_prompts_wait", "its name is still listed, but it is not heard of"


def test_a_render_under_way_counts_even_when_redis_has_forgotten_its_worker(
    own_queue_server: Redis, make_row: MakeRow
) -> None:
    make_row(queued_at=timezone.now() - timedelta(hours=1))
    running = make_row(status=Status.RUNNING, lease_until=timezone.now() + timedelta(seconds=50))
    assert ask() == (200, ALL_WELL)
    type(running).objects.filter(pk=running.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert ask()[1]["worker"] == "none_while_prompts_wait"


# --- the bot


@pytest.mark.usefixtures("own_queue_server")
def test_without_a_bot_it_is_red_and_the_web_process_is_not() -> None:
    PollingLease.objects.all().delete()
    assert ask() == (503, ALL_WELL | {"status": "unavailable", "bot": "not_running"})
    assert ask("?only=web")[0] == 200


@pytest.mark.usefixtures("own_queue_server")
def test_a_revoked_token_is_named() -> None:
    lease.release("7", "bot elsewhere:1", lease.TOKEN_REFUSED)
    assert ask() == (503, ALL_WELL | {"status": "unavailable", "bot": "token_refused"})


# --- for people


@pytest.mark.usefixtures("own_queue_server")
def test_operators_see_on_the_first_page_what_is_wrong_and_nothing_when_all_is_well(admin_client: Client) -> None:
    assert b'role="alert"' not in admin_client.get("/admin/").content
    lease.release("7", "bot elsewhere:1", lease.TOKEN_REFUSED)
    page = admin_client.get("/admin/").content.decode()
    assert '<p class="errornote" role="alert">' in page
    assert "Telegram does not accept the bot&#x27;s token." in page


@pytest.mark.usefixtures("own_queue_server")
def test_operators_see_on_the_first_page_what_they_were_told_in_telegram_until_it_is_over(admin_client: Client) -> None:
    words = "2 results could not be sent for more than 10 minutes. The last reason: &lt;b&gt;"
    now, facts = timezone.now(), {"number": 2, "minutes": 10, "reason": "<b>"}
    alert = Alert.begin("delivery", now, "stuck", facts)
    assert words not in admin_client.get("/admin/").content.decode(), "it has not lasted yet"
    alert.tell(now)
    assert words in admin_client.get("/admin/").content.decode()
    alert.clear(now)
    alert.recover()
    assert words not in admin_client.get("/admin/").content.decode()


def test_every_state_has_words() -> None:
    assert {state for state in WORDS if state[0] == "bot"} == {
        ("bot", state)
        for state in (lease.NOT_RUNNING, lease.TOKEN_REFUSED, "conflict", UNREACHABLE, "database_unreachable")
    } | {("bot", "webhook_refused")}
