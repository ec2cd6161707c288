"""What a worker tells Redis of itself while it works, when it is done, and after Redis has forgotten everything."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.core.management import call_command
from rq import Queue
from rq.registry import StartedJobRegistry

from generations import tasks, worker
from generations.attendance import workers_alive
from generations.models import Status
from tests.generations.conftest import MakeRow, StandInEngine

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def test_a_job_that_ends_in_the_middle_of_a_beat_ends_cleanly(
    engine: StandInEngine, queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    beating = threading.Event()
    maintain = worker.GenerationWorker.maintain_heartbeats

    def slow(self: worker.GenerationWorker, job: Any) -> None:
        beating.set()
        time.sleep(0.5)
        maintain(self, job)

    monkeypatch.setattr(worker, "BEAT", 0.01)
    monkeypatch.setattr(worker.GenerationWorker, "maintain_heartbeats", slow)
    engine.before_step = lambda done: bool(done < 4 or beating.wait(10))
    row = make_row()
    tasks.ring(row)
    # An exception in the beating thread is an error here.
    call_command("rqworker", "--burst")
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED
    # The late beat has not brought the finished job back.
    assert StartedJobRegistry(queue=queue).count == 0
    assert not list(queue.connection.scan_iter("rq:execution*"))


def test_a_worker_whose_name_redis_has_lost_tells_it_again(
    engine: StandInEngine, queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BEAT", 0.01)
    alive: list[bool] = []

    def wiped(done: int) -> None:
        alive.append(workers_alive(queue.connection))
        if done == 1:
            queue.connection.flushdb()
            time.sleep(0.3)

    engine.before_step = wiped
    tasks.ring(make_row())
    call_command("rqworker", "--burst")
    assert alive == [True] * 4
    assert not workers_alive(queue.connection), "it has signed off"


def idle_worker(queue: Queue) -> worker.GenerationWorker:
    return worker.GenerationWorker([queue], name="idle", connection=queue.connection, serializer=queue.serializer)


def test_a_killed_worker_is_forgotten_within_minutes(queue: Queue) -> None:
    killed = idle_worker(queue)
    killed.register_birth()
    killed.heartbeat()
    assert workers_alive(queue.connection)
    assert 0 < queue.connection.ttl(killed.key) <= 90
    queue.connection.delete(killed.key)
    assert not workers_alive(queue.connection)


def test_no_beat_speaks_of_a_job_that_is_over(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the job's end and the end of the thread."""
    monkeypatch.setattr(worker, "BEAT", 0.01)
    done = threading.Event()
    threading.Timer(0.1, done.set).start()
    idle_worker(queue)._beat(done, None)
    assert not list(queue.connection.scan_iter("rq:*"))
