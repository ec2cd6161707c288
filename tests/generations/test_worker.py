"""The worker as a process of its own, with real (random, tiny) weights: killed, stopped, hurried and starved."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from rq import Queue

from generations import tasks
from generations.models import Generation, Status
from generations.sweep import sweep
from tests.engine.checkpoint import CLIP_FILE, write_checkpoint
from tests.generations.conftest import MakeRow, Server, wait_until

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# A frame of noise of the tiny model takes a few milliseconds; so many steps take a while.
LONG = 100


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


class WorkerProcess:
    """`manage.py rqworker gpu` on the test's own database, queue and media."""

    def __init__(self, model: Path, log: Path, redis_url: str, **environment: str) -> None:
        database = connection.settings_dict
        url = f"sqlite:///{database['NAME']}"
        if connection.vendor == "postgresql":
            host = f"{database['HOST'] or 'localhost'}:{database['PORT'] or 5432}"
            url = f"postgres://{database['USER']}:{database['PASSWORD']}@{host}/{database['NAME']}"
        environment = {
            **os.environ,
            **environment,
            "DATABASE_URL": url,
            "MEDIA_ROOT": str(settings.MEDIA_ROOT),
            "MODEL": str(model),
            "REDIS_URL": redis_url,
            "OMP_NUM_THREADS": "1",
        }
        self.log = log
        with log.open("ab") as out:
            command = [sys.executable, "manage.py", "rqworker", "gpu"]
            self.process = subprocess.Popen(
                command, cwd=settings.BASE_DIR, env=environment, stdout=out, stderr=subprocess.STDOUT
            )

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def end(self, number: int = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def start_worker(model_folder: Path, tmp_path: Path, queue: Queue) -> Iterator[Any]:
    started: list[WorkerProcess] = []

    def start(
        model: Path = model_folder, redis_url: str = settings.REDIS_URL, ready: bool = True, **environment: str
    ) -> WorkerProcess:
        worker = WorkerProcess(model, tmp_path / f"worker{len(started)}.log", redis_url, **environment)
        started.append(worker)
        if ready:
            wait_until(lambda: worker.says("Listening on"), 150)
        return worker

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.end()


def in_state(row: Generation, status: Status, **facts: Any) -> bool:
    return Generation.objects.filter(pk=row.pk, status=status, **facts).exists()


def ring_and_wait(row: Generation, status: Status = Status.SUCCEEDED, seconds: float = 90) -> Generation:
    tasks.ring(row)
    wait_until(lambda: in_state(row, status), seconds)
    row.refresh_from_db()
    return row


def test_one_process_lives_a_whole_working_day(start_worker: Any, make_row: MakeRow) -> None:
    """One start for several checks: loading torch is most of the time."""
    worker = start_worker()

    # Same prompt, seed and settings, with another job between: identical files. And one load for all of them.
    rows = [make_row(user_id=1, seed=seed, steps=2) for seed in (5, 6, 5)]
    digests = [ring_and_wait(row).sha256 for row in rows]
    assert digests[0] == digests[2] != digests[1]
    with rows[0].file.open() as file:
        assert hashlib.sha256(file.read()).hexdigest() == digests[0]
    assert worker.log.read_text().count("model loaded") == 1

    # Cancel of a running render.
    long = make_row(user_id=1, steps=LONG)
    tasks.ring(long)
    wait_until(lambda: in_state(long, Status.RUNNING, progress__gt=0))
    assert long.cancel(actor="ann")
    wait_until(lambda: in_state(long, Status.CANCELLED), 30)

    # A dropped database connection in the middle of a render (only PostgreSQL has such).
    if connection.vendor == "postgresql":
        hit = make_row(user_id=1, steps=LONG)
        tasks.ring(hit)
        wait_until(lambda: in_state(hit, Status.RUNNING, progress__gt=0))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        wait_until(lambda: in_state(hit, Status.SUCCEEDED), 120)

    # Stopped while it renders: the row goes back, with its attempt counted, within the grace time.
    halted = make_row(user_id=1, steps=LONG, frames=8, height=128, width=128)
    tasks.ring(halted)
    wait_until(lambda: in_state(halted, Status.RUNNING))
    asked = time.monotonic()
    assert worker.end(signal.SIGTERM) == 0
    assert time.monotonic() - asked < 30
    halted.refresh_from_db()
    assert (halted.status, halted.attempt, halted.worker_deaths) == (Status.QUEUED, 1, 0)


def test_what_waits_together_is_rendered_together_and_each_may_be_cancelled(
    start_worker: Any, make_row: MakeRow, queue: Queue
) -> None:
    rows = [make_row(user_id=n, seed=n, steps=LONG, prompt=f"prompt {n}") for n in range(3)]
    tasks.ring(rows[0])
    start_worker(BATCH_SIZE="4")
    wait_until(lambda: in_state(rows[1], Status.RUNNING, progress__gt=0))
    assert rows[1].cancel(actor="ann")
    wait_until(lambda: in_state(rows[1], Status.CANCELLED), 30)
    for row in (rows[0], rows[2]):
        wait_until(lambda row=row: in_state(row, Status.SUCCEEDED), 90)
    first, cancelled, last = [Generation.objects.get(pk=row.pk) for row in rows]
    assert first.sha256 != last.sha256
    began, ended = [(row.started_at, row.finished_at) for row in (first, last)], cancelled.finished_at
    assert ended is not None
    assert all(start < ended < end for start, end in began if start and end), "all at the same time"
    wait_until(lambda: queue.count == 0)


def test_a_killed_workers_prompt_is_finished_by_the_next_one(start_worker: Any, make_row: MakeRow) -> None:
    worker = start_worker()
    row = make_row(steps=LONG)
    tasks.ring(row)
    wait_until(lambda: in_state(row, Status.RUNNING, progress__gt=0))
    worker.end(signal.SIGKILL)
    assert not sweep().requeued, "the lease still holds"

    Generation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert sweep().requeued == 1
    Generation.objects.update(steps=2)
    start_worker()
    wait_until(lambda: in_state(row, Status.SUCCEEDED))
    row.refresh_from_db()
    assert (row.attempt, row.worker_deaths) == (2, 1)
    assert [event.kind for event in row.events.all()] == ["started", "requeued", "started", "succeeded"]


def test_an_idle_worker_ends_at_once_and_survives_seconds_without_redis(
    start_worker: Any, make_row: MakeRow, own_server: Server
) -> None:
    own_server.start()
    worker = start_worker(redis_url=own_server.url)
    own_server.stop()
    back = threading.Timer(5, own_server.start)
    back.start()
    row = make_row(steps=2)
    back.join()
    ring_and_wait(row)
    assert worker.process.poll() is None
    asked = time.monotonic()
    assert worker.end(signal.SIGTERM) == 0
    assert time.monotonic() - asked < 15


def test_a_broken_model_folder_is_refused_with_every_fault_and_no_job_taken(
    start_worker: Any, make_row: MakeRow, model_folder: Path, tmp_path: Path, queue: Queue
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in model_folder.iterdir():
        if file.name != CLIP_FILE:
            (broken / file.name).write_bytes(file.read_bytes()[:2000] if file.suffix == ".pth" else file.read_bytes())
    tasks.ring(make_row())
    worker = start_worker(broken, ready=False)
    assert worker.process.wait(150) == 78
    faults = [line for line in worker.log.read_text().splitlines() if "refused to start:" in line]
    assert len(faults) == 4, "a summary, and a line per file"
    assert any(CLIP_FILE in line for line in faults)
    assert Generation.objects.get().attempt == 0
    assert queue.count == 1
