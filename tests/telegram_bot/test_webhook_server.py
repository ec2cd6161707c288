"""The webhook behind gunicorn, as deployed: bodies of any size and shape, crowds of strangers, a locked database."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from generations.machine import free_port
from tests.installation import Installation
from tests.telegram_bot.conftest import base

pytestmark = pytest.mark.services

PATH = "/telegram/webhook/"
SECRET = "the-Right_secret-0123456789"
KNOWN = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
MEGABYTE = 1024 * 1024


class Site:
    """gunicorn as `manage.py up` starts it, with its database."""

    def __init__(self, installation: Installation, port: int, pid: int) -> None:
        self.installation, self.port, self.pid = installation, port, pid
        self.url = f"http://127.0.0.1:{port}{PATH}"
        self.client = httpx.Client(trust_env=False, timeout=10)

    def post(self, update: object, **headers: str) -> int:
        return self.client.post(self.url, json=update, headers=KNOWN | headers).status_code

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection | psycopg.Connection]:
        url = self.installation.environment.get("DATABASE_URL")
        with closing(psycopg.connect(url) if url else sqlite3.connect(self.installation.folder / "db.sqlite3")) as own:
            yield own

    def stored(self) -> set[int]:
        with self.connection() as own:
            rows = own.execute("SELECT update_id FROM telegram_bot_receivedupdate").fetchall()
        return {number for (number,) in rows}

    def memory(self) -> int:
        """Bytes in use by gunicorn's worker process."""
        [worker] = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    folder, port = Path(tempfile.mkdtemp(prefix="t2v-")), free_port()
    with Installation(folder, WEBHOOK_SECRET=SECRET) as installation:
        installation.manage("migrate", "--verbosity", "0")
        web = [sys.executable, "-m", "gunicorn", "t2vsite.wsgi", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
        pid = installation.run("web", [*web, "--worker-class", "gthread", "--workers", "1", "--threads", "8"])
        site = Site(installation, port, pid)
        installation.wait_until(lambda: answers(site), "the site answers")
        yield site
        assert SECRET not in installation.log("web")
        assert "Traceback" not in installation.log("web")
        site.client.close()
    shutil.rmtree(folder)


def answers(site: Site) -> bool:
    try:
        return site.client.get(site.url).status_code == 405
    except httpx.TransportError:
        return False


def parts(size: int) -> Iterator[bytes]:
    yield b'{"update_id": 3, "x": "'
    for _ in range(size // MEGABYTE):
        yield b"x" * MEGABYTE
    yield b'"}'


def test_a_body_without_a_length_is_read_all_the_same(site: Site) -> None:
    chunks = (part.encode() for part in ('{"update_id"', ": 1}"))
    headers = KNOWN | {"Content-Type": "application/json"}
    assert site.client.post(site.url, content=chunks, headers=headers).status_code == 200
    assert 1 in site.stored()


@pytest.mark.parametrize("size", [3, 100])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_is_too_large_is_answered_once_and_costs_no_memory(site: Site, size: int, chunked: bool) -> None:
    assert site.post(base(2)) == 200
    before = site.memory()
    headers = KNOWN | {"Content-Type": "application/json"}
    body = b"".join(parts(size * MEGABYTE)) if not chunked else parts(size * MEGABYTE)
    try:
        assert site.client.post(site.url, content=body, headers=headers).status_code == 200
    except (httpx.WriteError, httpx.ReadError):
        # A hundred of them may be cut off. Nothing of Telegram's is a thousandth of that.
        assert size == 100
    assert site.memory() - before < 50 * MEGABYTE
    assert 3 not in site.stored()
    assert site.post(base(2)) == 200


def test_a_stranger_who_announces_a_hundred_megabytes_is_refused_before_he_sends_them(site: Site) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as stranger:
        began = time.monotonic()
        stranger.sendall(f"{head}Content-Length: {100 * MEGABYTE}\r\n\r\n".encode())
        assert stranger.recv(100).startswith(b"HTTP/1.1 403 ")
    assert time.monotonic() - began < 1


def test_the_secret_given_twice_is_not_the_secret(site: Site) -> None:
    headers = [*KNOWN.items(), *KNOWN.items(), ("Content-Type", "application/json")]
    assert site.client.post(site.url, content=b'{"update_id": 4}', headers=headers).status_code == 403
    assert 4 not in site.stored()


def test_an_empty_body_is_answered_once(site: Site) -> None:
    headers = KNOWN | {"Content-Type": "application/json"}
    assert site.client.post(site.url, content=b"", headers=headers).status_code == 200


def test_telegram_is_served_within_two_seconds_while_a_thousand_strangers_knock(site: Site) -> None:
    knocking = threading.Event()

    def knock(_: int) -> set[int]:
        with httpx.Client(trust_env=False, timeout=10) as stranger:
            statuses = set()
            for number in range(125):
                statuses.add(stranger.post(site.url, json=base(1000 + number)).status_code)
                knocking.set()
            return statuses

    waits = []
    with ThreadPoolExecutor(8) as pool:
        crowd = [pool.submit(knock, number) for number in range(8)]
        assert knocking.wait(10)
        number = 5000
        while not all(one.done() for one in crowd):
            began = time.monotonic()
            assert site.post(base(number, text="a cat")) == 200
            waits.append(time.monotonic() - began)
            number += 1
            time.sleep(0.1)
        assert [one.result() for one in crowd] == [{403}] * 8
    assert max(waits) < 2, waits
    found = site.stored()
    assert set(range(5000, number)) <= found
    assert not any(1000 <= one < 5000 for one in found)


def test_a_locked_database_is_a_503_within_five_seconds_and_the_update_is_not_lost(site: Site) -> None:
    update = base(6, text="a cat")
    with site.connection() as own:
        if isinstance(own, sqlite3.Connection):
            own.execute("BEGIN IMMEDIATE")
        else:
            own.execute("LOCK TABLE telegram_bot_receivedupdate IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        assert site.post(update) == 503
        assert time.monotonic() - began < 5
        own.rollback()
    assert site.post(update) == 200
    assert 6 in site.stored()
