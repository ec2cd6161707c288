"""The worker command, in this process and with an engine that draws noise."""

from __future__ import annotations

import os
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command, get_commands
from django.db import connection
from django_rq.settings import QUEUES
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import DefaultSerializer

from generations import operating, rendering, tasks, worker
from generations.engine.base import CheckpointError, EngineError
from generations.management.commands import rqworker
from generations.models import Generation, Status
from tests.generations.conftest import MakeRow, Server, StandInEngine, wait_until

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    # The grace time of a worker that was stopped here would end the next test's render.
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


def test_rqworker_is_our_command_and_not_django_rqs() -> None:
    assert get_commands()["rqworker"] == "generations"


def test_two_queues_for_one_worker_are_refused_with_the_reason() -> None:
    with pytest.raises(CommandError, match="one queue per worker"):
        call_command("rqworker", "gpu", "high")


def test_an_unknown_queue_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CommandError, match="no queue called 'cpu'; there is: gpu"):
        call_command("rqworker", "cpu")


def test_three_prompts_in_a_row_load_the_model_once(
    engine: StandInEngine, queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    monkeypatch.setattr(rendering, "load_engine", lambda model, *_: loads.append(model) or engine)
    rows = [make_row(user_id=number) for number in range(3)]
    for row in rows:
        tasks.ring(row)
    call_command("rqworker", "--burst")
    for row in rows:
        row.refresh_from_db()
    assert [row.status for row in rows] == [Status.SUCCEEDED] * 3
    assert loads == [settings.MODEL]


def test_a_video_is_made_in_the_very_process_that_holds_the_model(
    engine: StandInEngine, queue: Queue, make_row: MakeRow
) -> None:
    """A fork, which is RQ's own way, would lose the model with every job and break CUDA."""
    processes: list[int] = []
    engine.before_step = lambda done: processes.append(os.getpid())
    tasks.ring(make_row())
    call_command("rqworker", "--burst")
    assert set(processes) == {os.getpid()}


def test_one_bell_is_enough_for_all_that_wait(engine: StandInEngine, queue: Queue, make_row: MakeRow) -> None:
    for number in range(3):
        make_row(user_id=number)
    assert tasks.ring_if_silent()
    call_command("rqworker", "--burst")
    assert Generation.objects.filter(status=Status.SUCCEEDED).count() == 3


def test_a_starting_worker_finds_rows_that_nobody_rang_for(
    engine: StandInEngine, queue: Queue, make_row: MakeRow
) -> None:
    make_row()
    call_command("rqworker", "--burst")
    assert Generation.objects.get().status == Status.SUCCEEDED


def test_a_pickled_job_is_refused_and_inert(
    engine: StandInEngine, queue: Queue, make_row: MakeRow, tmp_path: Path
) -> None:
    bomb = Queue("gpu", connection=queue.connection, serializer=DefaultSerializer)
    target = tmp_path / "executed"
    bomb.enqueue(Path.touch, target)
    tasks.ring(make_row())
    call_command("rqworker", "--burst")
    assert not target.exists()
    assert queue.count == 0
    assert Generation.objects.get().status == Status.SUCCEEDED, "and the worker goes on"


def test_our_bells_carry_no_pickle_and_no_prompt(queue: Queue, make_row: MakeRow) -> None:
    row = make_row(prompt="a very private wish")
    tasks.ring(row)
    stored = queue.connection.hget(f"rq:job:gen-{row.pk}-0", "data")
    assert b"run_generations" in zlib.decompress(stored)
    assert b"private" not in b"".join(queue.connection.hvals(f"rq:job:gen-{row.pk}-0"))


def test_no_two_workers_ever_have_the_same_name() -> None:
    assert len({worker.worker_name() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (CheckpointError(["a.pth: truncated", "b.bin: missing"]), ["a.pth: truncated", "b.bin: missing"]),
        (EngineError("There is no device cuda:3.", public_reason=""), ["There is no device cuda:3."]),
    ],
)
def test_a_model_that_cannot_be_served_stops_the_start_before_any_job(
    error: Exception,
    lines: list[str],
    queue: Queue,
    make_row: MakeRow,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: str) -> None:
        raise error

    monkeypatch.setattr(rendering, "load_engine", broken)
    rendering.engine.cache_clear()
    row = make_row()
    tasks.ring(row)
    with pytest.raises(SystemExit) as exit_:
        call_command("rqworker", "--burst")
    assert exit_.value.code == rqworker.REFUSED_TO_START
    assert [record.getMessage() for record in caplog.records][-len(lines) :] == [
        f"refused to start: {line}" for line in lines
    ]
    row.refresh_from_db()
    assert (row.status, row.attempt, queue.count) == (Status.QUEUED, 0, 1)


def test_an_encoder_that_does_not_work_is_found_out_at_the_start(
    engine: StandInEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise EngineError("no H.264 encoder", public_reason="")

    monkeypatch.setattr(rendering, "probe_encoder", broken)
    with pytest.raises(SystemExit):
        call_command("rqworker", "--burst")
    assert "refused to start: no H.264 encoder" in caplog.text


def test_the_job_shows_signs_of_life_while_it_runs(
    engine: StandInEngine, queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BEAT", 0.05)
    beats: list[float] = []
    maintain = worker.GenerationWorker.maintain_heartbeats
    monkeypatch.setattr(
        worker.GenerationWorker,
        "maintain_heartbeats",
        lambda self, job: beats.append(time.monotonic()) or maintain(self, job),
    )
    engine.before_step = lambda done: time.sleep(0.1)
    tasks.ring(make_row())
    call_command("rqworker", "--burst")
    assert len(beats) >= 3
    assert StartedJobRegistry(queue=queue).count == 0


def test_redis_that_restarts_while_a_video_is_made_costs_nothing(
    engine: StandInEngine, make_row: MakeRow, own_server: Server
) -> None:
    own_server.start()
    row = make_row()
    tasks.ring(row)
    # Back only after the render has ended, so that its end falls into the outage.
    back = threading.Timer(1.5, own_server.start)

    def kill_redis(done: int) -> None:
        if done == 2:
            own_server.stop()
            back.start()

    engine.before_step = kill_redis
    call_command("rqworker", "--burst")
    back.join()
    row.refresh_from_db()
    assert (row.status, row.attempt) == (Status.SUCCEEDED, 1)


def test_a_worker_that_starts_before_redis_waits_for_it(
    engine: StandInEngine, make_row: MakeRow, own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    row = make_row()
    late = threading.Timer(2, own_server.start)
    late.start()
    call_command("rqworker", "--max-jobs", "1")
    late.join()
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED
    assert "Redis does not answer" in caplog.text


def test_a_stop_between_taking_a_job_and_beginning_it_loses_nothing(
    engine: StandInEngine, queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_row()
    tasks.ring(row)
    execute = worker.GenerationWorker.execute_job
    taken: list[str] = []

    def stopped_first(self: worker.GenerationWorker, job: Job, queue: Queue) -> None:
        taken.append(job.id)
        os.kill(os.getpid(), signal.SIGTERM)
        execute(self, job, queue)

    with monkeypatch.context() as patch:
        patch.setattr(worker.GenerationWorker, "execute_job", stopped_first)
        call_command("rqworker")
    row.refresh_from_db()
    assert (taken, row.status, row.attempt) == ([f"gen-{row.pk}-0"], Status.QUEUED, 0)
    assert queue.count == 0, "the job is in nobody's hands"

    call_command("rqworker", "--burst")
    row.refresh_from_db()
    assert (row.status, row.attempt, len(engine.rendered)) == (Status.SUCCEEDED, 1, 1)


def test_a_redis_that_freezes_while_the_worker_idles_does_not_end_it(
    engine: StandInEngine, make_row: MakeRow, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ ends its worker when Redis is silent for longer than the socket's timeout."""
    monkeypatch.setitem(QUEUES["gpu"], "REDIS_CLIENT_KWARGS", {"socket_timeout": 1, "socket_connect_timeout": 1})
    own_server.start()

    def freeze_and_ask() -> None:
        assert own_server.process is not None
        try:
            with redis.Redis.from_url(own_server.url) as client:
                wait_until(lambda: client.info("clients")["blocked_clients"])
            own_server.process.send_signal(signal.SIGSTOP)
            time.sleep(2)
            own_server.process.send_signal(signal.SIGCONT)
            row = make_row()
            tasks.ring(row)
            wait_until(lambda: Generation.objects.filter(pk=row.pk, status=Status.SUCCEEDED).exists(), 30)
        finally:
            connection.close()
            # To the worker: it runs in this process.
            os.kill(os.getpid(), signal.SIGTERM)

    # A signal that finds no worker any more is no reason to end the test run.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    thread = threading.Thread(target=freeze_and_ask)
    thread.start()
    call_command("rqworker")
    thread.join()
    row = Generation.objects.get()
    assert (row.status, row.attempt) == (Status.SUCCEEDED, 1)


@pytest.mark.parametrize(
    "trouble",
    [redis.TimeoutError("Timeout reading from socket"), redis.ResponseError("UNBLOCKED"), ValueError("anything")],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_worker_that_rq_has_ended_is_replaced_in_the_same_process(
    engine: StandInEngine, queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    dequeue = worker.GenerationWorker.dequeue_job_and_maintain_ttl
    troubles = [trouble]

    def dequeue_or_fail(self: worker.GenerationWorker, *args: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return dequeue(self, *args)

    monkeypatch.setattr(worker.GenerationWorker, "dequeue_job_and_maintain_ttl", dequeue_or_fail)
    # The worker of this process ends after this video.
    engine.before_step = lambda done: os.kill(os.getpid(), signal.SIGTERM) if done == 1 else None
    row = make_row()
    call_command("rqworker")
    row.refresh_from_db()
    assert (row.status, row.attempt) == (Status.SUCCEEDED, 1)


def test_a_render_is_cancelled_though_redis_was_away_meanwhile(
    engine: StandInEngine, make_row: MakeRow, own_server: Server
) -> None:
    """RQ's own stop command is deaf from then on; ours goes through the database."""
    own_server.start()
    row = make_row(steps=30)
    tasks.ring(row)
    steps: list[int] = []

    def lose_redis_and_cancel(done: int) -> None:
        steps.append(done)
        if done == 2:
            own_server.stop()
            own_server.start()
        if done == 10:
            assert operating.cancel(row, by="ann")

    engine.before_step = lose_redis_and_cancel
    call_command("rqworker", "--burst")
    row.refresh_from_db()
    assert row.status == Status.CANCELLED
    assert steps[-1] in {10, 11, 12}, "within two steps"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection to lose")
def test_a_connection_that_the_database_dropped_between_two_videos_is_replaced(
    engine: StandInEngine, queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [make_row(user_id=number) for number in range(2)]
    for row in rows:
        tasks.ring(row)
    execute = worker.GenerationWorker.execute_job

    def after_a_cut(self: worker.GenerationWorker, job: Job, queue: Queue) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [number] = cursor.fetchone()
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [number])
        other.close()
        execute(self, job, queue)

    monkeypatch.setattr(worker.GenerationWorker, "execute_job", after_a_cut)
    call_command("rqworker", "--burst")
    for row in rows:
        row.refresh_from_db()
    assert [(row.status, row.attempt) for row in rows] == [(Status.SUCCEEDED, 1)] * 2
    assert FailedJobRegistry(queue=queue).count == 0, "and no job had to be repeated for it"
