"""One claimed row on its way to a file, with an engine that draws noise."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import pytest
import redis
from django.core.files.storage import default_storage
from django.db import OperationalError, connection
from django.utils import timezone
from rq import Queue
from rq.timeouts import JobTimeoutException

from generations import lease, rendering, services, tasks
from generations.engine.base import EngineError, RenderCancelled
from generations.models import MAX_ATTEMPTS, Delivery, Generation, Status
from generations.services import Person
from generations.sweep import sweep
from tests.generations.conftest import MakeRow, Server, StandInEngine, wait_until

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]


def media_files() -> list[Path]:
    root = Path(default_storage.path(""))
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_queued_prompt_becomes_a_playable_file(engine: StandInEngine, make_row: MakeRow) -> None:
    row = make_row(prompt='a red circle "quoted"; rm -rf /', seed=11, chat_id=5)

    tasks.run_generations()

    row.refresh_from_db()
    assert (row.status, row.progress, row.delivery) == (Status.SUCCEEDED, 100, Delivery.WAITING)
    assert row.file.name.startswith(f"videos/{timezone.now():%Y/%m}/")
    assert Path(row.file.name).stem == Path(row.poster.name).stem
    assert len(Path(row.file.name).stem) == 22, "a name that nobody can guess"
    assert row.sha256 == hashlib.sha256(row.file.read()).hexdigest()
    assert (row.video_width, row.video_height, row.duration) == (64, 64, 0.5)
    assert (row.model_name, row.model_licence) == ("stand-in", engine.card.licence)
    assert row.render_seconds is not None
    assert row.render_seconds > 0
    with av.open(row.file.path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.frames) == ("h264", "yuv420p", 4)
        facts = json.loads(container.metadata["comment"])
    assert (facts["prompt"], facts["seed"], facts["steps"]) == (row.prompt, 11, 4)
    assert [path.suffix for path in sorted(media_files())] == [".jpg", ".mp4"], "no unfinished file is left"
    row.file.close()


def test_the_text_that_the_model_cannot_see_is_noted(engine: StandInEngine, make_row: MakeRow) -> None:
    row = make_row(prompt=" ".join(["word"] * 77 + ["lost"]))
    tasks.run_generations()
    row.refresh_from_db()
    assert row.ignored_text == "lost"


def test_a_ring_with_nothing_queued_returns_quietly(engine: StandInEngine) -> None:
    tasks.run_generations()
    assert engine.rendered == []


def test_two_rings_for_one_prompt_make_one_video(engine: StandInEngine, make_row: MakeRow) -> None:
    make_row()
    tasks.run_generations()
    tasks.run_generations()
    assert len(engine.rendered) == 1


def test_progress_is_published_and_not_at_every_step(
    engine: StandInEngine, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_row(steps=40)
    seen: list[int] = []
    engine.before_step = lambda done: seen.append(Generation.objects.get(pk=row.pk).progress)
    writes: list[int] = []
    publish = Generation.report_progress
    monkeypatch.setattr(
        Generation,
        "report_progress",
        lambda row, owner, percent: writes.append(percent) or publish(row, owner, percent),
    )
    monkeypatch.setattr(rendering.StepReporter, "PAUSE", 0.02)
    tasks.run_generations()
    assert seen == sorted(seen)
    assert 0 < max(seen) < 100
    assert len(writes) < 40


def test_pressing_cancel_stops_a_running_render_within_two_steps(engine: StandInEngine, make_row: MakeRow) -> None:
    row = make_row(steps=30, chat_id=5)
    steps: list[int] = []

    def press_at_the_tenth(done: int) -> None:
        steps.append(done)
        if done == 10:
            assert Generation.objects.get(pk=row.pk).cancel(actor="ann")

    engine.before_step = press_at_the_tenth
    tasks.run_generations()
    row.refresh_from_db()
    assert steps[-1] <= 12
    assert (row.status, row.delivery) == (Status.CANCELLED, Delivery.WAITING)
    assert media_files() == []
    assert [event.kind for event in row.events.all()] == ["started", "cancel requested", "cancelled"]


def test_a_cancel_while_the_file_is_written_still_counts(
    engine: StandInEngine, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_row(chat_id=5)
    write = rendering.write_poster

    def press_while_encoding(*args: Any, **options: Any) -> Path:
        assert Generation.objects.get(pk=row.pk).cancel(actor="ann")
        return write(*args, **options)

    monkeypatch.setattr(rendering, "write_poster", press_while_encoding)
    tasks.run_generations()
    row.refresh_from_db()
    assert row.status == Status.CANCELLED
    assert media_files() == []


def test_a_cancelled_row_does_not_go_back_to_the_queue_when_the_worker_ends(
    engine: StandInEngine, make_row: MakeRow
) -> None:
    row = make_row(chat_id=5)

    def press_and_stop(done: int) -> None:
        assert Generation.objects.get(pk=row.pk).cancel(actor="ann")
        rendering.shutdown_due.set()

    engine.before_step = press_and_stop
    tasks.run_generations()
    row.refresh_from_db()
    assert row.status == Status.CANCELLED


def test_the_stop_button_of_the_queues_page_cancels_too(engine: StandInEngine, make_row: MakeRow) -> None:
    row = make_row(chat_id=5)
    engine.before_step = lambda done: rendering.stop_pressed.set()
    tasks.run_generations()
    row.refresh_from_db()
    assert row.status == Status.CANCELLED


def take_away(row: Generation) -> None:
    """What a sweep and another worker do with a lapsed lease."""
    Generation.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert Generation.objects.get(pk=row.pk).recover()
    assert Generation.objects.claim_next("another") == [row]


def test_a_worker_that_lost_its_row_stops_and_changes_nothing(engine: StandInEngine, make_row: MakeRow) -> None:
    row = make_row(steps=10)
    steps: list[int] = []

    def lose_it(done: int) -> None:
        steps.append(done)
        if done == 3:
            take_away(row)

    engine.before_step = lose_it
    tasks.run_generations()
    row.refresh_from_db()
    assert steps[-1] == 3
    assert (row.status, row.owner) == (Status.RUNNING, "another")


def test_a_video_that_comes_too_late_leaves_no_file(
    engine: StandInEngine, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_row()
    keep = rendering._keep

    def lose_it_while_storing(path: Path, name: str) -> str:
        if name.endswith(".jpg"):
            take_away(row)
        return keep(path, name)

    monkeypatch.setattr(rendering, "_keep", lose_it_while_storing)
    tasks.run_generations()
    row.refresh_from_db()
    assert (row.status, row.owner, row.file.name) == (Status.RUNNING, "another", "")
    assert media_files() == []


def raising(error: BaseException) -> Callable[[int], None]:
    def raise_it(done: int) -> None:
        raise error

    return raise_it


def test_a_failure_that_may_pass_is_tried_three_times_in_all(
    engine: StandInEngine, make_row: MakeRow, queue: Queue
) -> None:
    row = make_row(chat_id=5)
    engine.before_step = raising(EngineError("CUDA out of memory", public_reason="Too big.", retryable=True))
    for attempt in range(1, MAX_ATTEMPTS):
        tasks.run_generations()
        row.refresh_from_db()
        assert (row.status, row.attempt, row.delivery) == (Status.QUEUED, attempt, Delivery.NONE)
        assert queue.job_ids == [f"gen-{row.pk}-{attempt}"], "the bell rings again"
        queue.empty()
    tasks.run_generations()
    row.refresh_from_db()
    assert (row.status, row.public_error, row.delivery) == (Status.FAILED, "Too big.", Delivery.WAITING)
    assert "CUDA out of memory" in row.traceback


def test_a_failure_that_will_not_pass_is_told_at_once(engine: StandInEngine, make_row: MakeRow) -> None:
    row = make_row(chat_id=5)
    engine.before_step = raising(EngineError("bad spec", public_reason="Not possible."))
    tasks.run_generations()
    row.refresh_from_db()
    assert (row.status, row.attempt, row.public_error) == (Status.FAILED, 1, "Not possible.")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError("secret \0 detail"), rendering.GENERAL_REASON),
        (SystemExit(3), rendering.GENERAL_REASON),
        (JobTimeoutException(), rendering.TOO_SLOW),
    ],
)
def test_an_unexpected_failure_is_told_without_its_details(
    error: BaseException, told: str, engine: StandInEngine, make_row: MakeRow
) -> None:
    row = make_row(chat_id=5)
    engine.before_step = raising(error)
    tasks.run_generations()
    row.refresh_from_db()
    assert (row.status, row.public_error) == (Status.FAILED, told)
    assert type(error).__name__ in row.traceback


def test_a_failure_in_the_middle_of_one_prompt_does_not_stop_the_next(
    engine: StandInEngine, make_row: MakeRow, queue: Queue
) -> None:
    first, second = make_row(user_id=1), make_row(user_id=2)
    engine.before_step = raising(ZeroDivisionError())
    tasks.run_generations()
    engine.before_step = lambda done: None
    assert queue.count == 1, "the bell is passed on"
    tasks.run_generations()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.FAILED, Status.SUCCEEDED)


def test_a_worker_that_must_end_puts_its_row_back(engine: StandInEngine, make_row: MakeRow, queue: Queue) -> None:
    row = make_row(chat_id=5)
    rendering.shutdown_due.set()
    tasks.run_generations()
    row.refresh_from_db()
    assert (row.status, row.attempt, row.worker_deaths, row.owner) == (Status.QUEUED, 1, 0, "")
    assert queue.count == 1


def test_a_short_database_outage_does_not_cost_the_video(
    engine: StandInEngine, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_row()
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: None)
    outages = {"cancel_wanted": 2, "succeed": 2}

    def failing(name: str) -> Callable[..., Any]:
        works = getattr(Generation, name)

        def call(*args: Any, **options: Any) -> Any:
            if outages[name]:
                outages[name] -= 1
                raise OperationalError("server closed the connection unexpectedly")
            return works(*args, **options)

        return call

    for name in outages:
        monkeypatch.setattr(Generation, name, failing(name))
    tasks.run_generations()
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED
    assert outages == {"cancel_wanted": 0, "succeed": 0}


def test_a_commit_whose_answer_was_lost_keeps_its_file(
    engine: StandInEngine, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_row()
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: None)
    succeed = Generation.succeed
    lost: list[bool] = []

    def succeed_and_lose_the_answer(row: Generation, owner: str, **facts: Any) -> bool:
        won = succeed(row, owner, **facts)
        if not lost:
            lost.append(won)
            raise OperationalError("connection lost")
        return won

    monkeypatch.setattr(Generation, "succeed", succeed_and_lose_the_answer)
    tasks.run_generations()
    row.refresh_from_db()
    assert lost == [True]
    assert row.status == Status.SUCCEEDED
    assert default_storage.exists(row.file.name)


def test_a_long_step_does_not_lose_the_lease(make_row: MakeRow) -> None:
    row = make_row()
    row.start("me")
    soon = timezone.now() + timedelta(seconds=30)
    Generation.objects.update(lease_until=soon)
    renewed = threading.Event()
    renew = row.renew_lease
    row.renew_lease = lambda owner: renew(owner) and not renewed.set()  # type: ignore[method-assign,func-returns-value]
    with lease.LeaseKeeper([row], "me", beat=0.02):
        assert renewed.wait(5)
    row.refresh_from_db()
    assert row.lease_until is not None
    assert row.lease_until > soon


def test_a_lost_lease_is_noticed_between_steps(make_row: MakeRow) -> None:
    row = make_row()
    row.start("me")
    with lease.LeaseKeeper([row], "somebody else", beat=0.02) as keeper:
        wait_until(lambda: keeper.lost == {row.pk})


def test_a_render_that_hangs_ends_the_process(
    make_row: MakeRow, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.STEP_TIMEOUT_SECONDS = 0.1
    row = make_row()
    row.start("me")
    hung = threading.Event()
    monkeypatch.setattr(lease, "end_hung_process", lambda reason: hung.set())
    with lease.LeaseKeeper([row], "me", beat=0.02):
        assert hung.wait(5)


def test_a_render_that_moves_is_never_taken_for_hung(
    make_row: MakeRow, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.STEP_TIMEOUT_SECONDS = 0.5
    row = make_row()
    row.start("me")
    hung = threading.Event()
    monkeypatch.setattr(lease, "end_hung_process", lambda reason: hung.set())
    with lease.LeaseKeeper([row], "me", beat=0.02) as keeper:
        for _ in range(20):
            keeper.alive()
            assert not hung.wait(0.04)


def test_a_prompt_is_accepted_while_redis_is_away(
    make_row: MakeRow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise redis.ConnectionError("refused")

    monkeypatch.setattr(Queue, "enqueue", away)
    tasks.ring(make_row())
    assert "Could not ring" in caplog.text


@pytest.mark.parametrize(
    "refusal",
    [
        redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'"),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but is unable to persist to disk"),
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.TimeoutError("Timeout reading from socket"),
    ],
    ids=lambda refusal: str(refusal).split()[0],
)
def test_a_redis_that_takes_no_write_does_not_lose_the_prompt(
    refusal: redis.RedisError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise refusal

    monkeypatch.setattr(Queue, "enqueue", refuse)
    row = services.submit(Person(user_id=1), "a red circle", request_key="1")
    row.refresh_from_db()
    assert row.status == Status.QUEUED


def test_what_was_accepted_while_redis_was_full_is_rung_for_when_there_is_room(
    own_server: Server, make_row: MakeRow
) -> None:
    own_server.start()
    with redis.Redis.from_url(own_server.url) as server:
        server.config_set("maxmemory", 1)
        row = services.submit(Person(user_id=1), "a red circle", request_key="1")
        assert "OutOfMemoryError" in sweep().problem
        server.config_set("maxmemory", 0)
        assert sweep().rang
        assert server.llen("rq:queue:gpu") == 1
    row.refresh_from_db()
    assert row.status == Status.QUEUED


def test_a_render_stopped_by_the_engine_itself_changes_nothing_without_a_wish(
    engine: StandInEngine, make_row: MakeRow
) -> None:
    row = make_row()

    def lose_and_stop(done: int) -> None:
        take_away(row)
        raise RenderCancelled

    engine.before_step = lose_and_stop
    tasks.run_generations()
    row.refresh_from_db()
    assert (row.status, row.owner) == (Status.RUNNING, "another")


def test_what_a_killed_worker_left_unfinished_is_cleared_away_after_a_day(engine: StandInEngine) -> None:
    old, fresh = (rendering.workshop() / f"render-{name}" for name in ("old", "fresh"))
    for folder in (old, fresh):
        folder.mkdir()
        (folder / "a.mp4").touch()
    os.utime(old, (1, 1))
    rendering.preload()
    assert not old.exists()
    assert fresh.exists()


def test_twenty_people_write_while_progress_is_published_and_nobody_is_turned_away(make_row: MakeRow) -> None:
    """SQLite: "database is locked" comes at once, however long the timeout, when a read turns into a write."""
    rendering_row = make_row(user_id=99)
    rendering_row.start("me")
    over = threading.Event()
    errors: list[Exception] = []

    def publish() -> None:
        try:
            for percent in itertools.cycle(range(100)):
                assert rendering_row.report_progress("me", percent)
                if over.wait(0.01):
                    return
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    def write(user_id: int) -> None:
        try:
            for number in range(3):
                services.submit(Person(user_id=user_id), "a red circle", request_key=f"{user_id}:{number}")
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    publisher = threading.Thread(target=publish)
    publisher.start()
    people = [threading.Thread(target=write, args=(user_id,)) for user_id in range(20)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    over.set()
    publisher.join()
    assert errors == []
    assert Generation.objects.count() == 61


def test_nobody_waits_for_the_database_while_a_video_is_made_and_stored(
    engine: StandInEngine, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One open transaction would keep every writer of SQLite waiting for a whole render."""
    row = make_row()
    keep = rendering._keep
    open_: list[bool] = []

    def look_and_keep(path: Path, name: str) -> str:
        open_.append(connection.in_atomic_block)
        return keep(path, name)

    engine.before_step = lambda done: open_.append(connection.in_atomic_block)
    monkeypatch.setattr(rendering, "_keep", look_and_keep)
    tasks.run_generations()
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED
    assert open_ == [False] * (row.steps + 2)


def test_web_and_bot_can_ring_without_torch() -> None:
    code = (
        "import django, sys; django.setup(); import generations.tasks, generations.sweep;"
        "sys.exit('torch' in sys.modules)"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "t2vsite.settings"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
