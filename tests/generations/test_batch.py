"""Prompts that share a render: what is taken together, and that what one meets stays with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from rq import Queue
from rq.timeouts import JobTimeoutException

from generations import batch, lease, rendering, tasks
from generations.engine.base import EngineError, VideoSpec
from generations.models import Delivery, Generation, Requester, Status
from tests.generations.conftest import MakeRow, StandInEngine, wait_until

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]

ME = "host.1.aa"


@pytest.fixture
def four_at_once(settings: Any) -> None:
    settings.BATCH_SIZE = 4


@pytest.fixture
def four(make_row: MakeRow, four_at_once: None) -> list[Generation]:
    return [make_row(user_id=n, prompt=f"prompt {n}", seed=n, chat_id=5) for n in range(4)]


def states(rows: list[Generation]) -> list[str]:
    for row in rows:
        row.refresh_from_db()
    return [row.status for row in rows]


# --- what is taken together


def test_rows_that_differ_in_nothing_that_counts_are_taken_together_in_fair_order(make_row: MakeRow) -> None:
    now = timezone.now()
    served = Requester.objects.create(user_id=9, last_served_at=now)
    again = make_row(user_id=9, queued_at=now)
    of_one = [make_row(user_id=1, queued_at=now, seed=seed, guidance_scale=seed) for seed in (1, 2, 3)]
    other = make_row(user_id=2, queued_at=now + timedelta(seconds=1), negative_prompt="blurred", fps=4)
    assert Generation.objects.claim_next(ME, 4) == [of_one[0], other, again, of_one[1]]
    assert states([*of_one[:2], other, again]) == [Status.RUNNING] * 4
    assert all(row.owner == ME and row.attempt == 1 and row.lease_until for row in (*of_one[:2], other, again))
    assert states(of_one[2:]) == [Status.QUEUED]
    served.refresh_from_db()
    assert served.last_served_at is not None
    assert served.last_served_at > now, "whoever rides along has had a turn"


@pytest.mark.parametrize(
    "other",
    [{"frames": 8}, {"width": 72}, {"height": 72}, {"steps": 5}, {"preset": "fast"}, {"attempt": 1}]
    + [{"status": status} for status in Status if status != Status.QUEUED],
    ids=str,
)
def test_a_row_that_takes_other_passes_or_is_not_queued_or_was_begun_before_is_left(
    make_row: MakeRow, other: dict[str, Any]
) -> None:
    first, _, third = make_row(user_id=1), make_row(user_id=2, **other), make_row(user_id=3)
    assert Generation.objects.claim_next(ME, 4) == [first, third]


def test_a_row_that_was_begun_before_is_taken_alone(make_row: MakeRow) -> None:
    tried = make_row(user_id=1, attempt=1, worker_deaths=1)
    make_row(user_id=2)
    assert Generation.objects.claim_next(ME, 4) == [tried]


def test_workers_that_reach_for_the_same_rows_each_get_others(make_row: MakeRow) -> None:
    rows = [make_row(user_id=n) for n in range(12)]
    together = threading.Barrier(4)
    taken: list[int] = []

    def claim(owner: str) -> None:
        try:
            together.wait()
            taken.extend(row.pk for row in Generation.objects.claim_next(owner, 3))
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [row.pk for row in rows]
    assert states(rows) == [Status.RUNNING] * 12
    assert {row.attempt for row in rows} == {1}


def test_a_single_prompt_is_begun_at_once_and_a_crowd_waits_for_more(
    engine: StandInEngine, make_row: MakeRow, four_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def one_more(seconds: float) -> None:
        waits.append(seconds)
        make_row(user_id=8, prompt="just in time")

    monkeypatch.setattr(batch.time, "sleep", one_more)
    make_row(user_id=1, prompt="alone")
    tasks.run_generations()
    assert (engine.renders, waits) == ([["alone"]], [])
    make_row(user_id=2, prompt="first")
    make_row(user_id=2, prompt="of another size", width=72)
    tasks.run_generations()
    assert engine.renders[1:] == [["first", "just in time"]]
    assert waits == [0.1]


@pytest.mark.parametrize(("setting", "together"), [(1, 1), (2, 2), (16, 4), (None, 1)])
def test_no_more_are_taken_than_the_operator_and_the_engine_say(
    engine: StandInEngine, four: list[Generation], setting: int | None, together: int, settings: Any
) -> None:
    settings.BATCH_SIZE = setting
    tasks.run_generations()
    assert [len(prompts) for prompts in engine.renders] == [together]
    assert states(four).count(Status.SUCCEEDED) == together


def test_the_engine_is_asked_with_the_size_that_is_next(
    engine: StandInEngine, four: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int | None]] = []

    def three_fit(spec: VideoSpec, most: int | None = None) -> int:
        asked.append((spec.width, most))
        return 3

    monkeypatch.setattr(engine, "together", three_fit)
    tasks.run_generations()
    assert asked == [(64, 4)]
    assert [len(prompts) for prompts in engine.renders] == [3]


# --- what becomes of each


def test_four_together_become_the_files_that_they_become_alone(
    engine: StandInEngine, four: list[Generation], make_row: MakeRow, queue: Queue, settings: Any
) -> None:
    for row in four:
        tasks.ring(row)
    for _ in range(4):
        tasks.run_generations()
    assert [len(prompts) for prompts in engine.renders] == [4], "the rings of the other three find nothing"
    assert states(four) == [Status.SUCCEEDED] * 4
    assert {(row.progress, row.delivery, row.attempt, row.owner) for row in four} == {(100, Delivery.WAITING, 1, "")}
    assert len({row.file.name for row in four}) == 4
    settings.BATCH_SIZE = 1
    alone = make_row(prompt="prompt 2", seed=2)
    tasks.run_generations()
    alone.refresh_from_db()
    assert four[2].sha256 == alone.sha256 != four[1].sha256
    for row in four:
        assert [event.kind for event in row.events.all()] == ["started", "succeeded"]


def test_progress_is_that_of_each(
    engine: StandInEngine, four: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering.StepReporter, "PAUSE", 0.0)
    seen: list[list[int]] = []
    engine.before_step = lambda done: seen.append(sorted(row.progress for row in Generation.objects.all()))
    tasks.run_generations()
    assert seen == [[0] * 4, [25] * 4, [50] * 4, [75] * 4]


def test_one_that_is_cancelled_and_one_that_fails_leave_the_other_two_alone(
    engine: StandInEngine, four: list[Generation]
) -> None:
    cancelled_at: list[str] = []

    def fault(spec: VideoSpec, done: int) -> None:
        if (spec.seed, done) == (1, 2):
            assert Generation.objects.get(seed=1).cancel(actor="ann")
        if (spec.seed, done) == (2, 2):
            raise EngineError("bad numbers", public_reason="Broken.")
        if (spec.seed, done) == (3, 4):
            cancelled_at.append(Generation.objects.get(seed=1).status)

    engine.before_own_step = fault
    tasks.run_generations()
    assert states(four) == [Status.SUCCEEDED, Status.CANCELLED, Status.FAILED, Status.SUCCEEDED]
    assert cancelled_at == [Status.CANCELLED], "told while the others are still rendered"
    assert [row.public_error for row in four] == ["", "", "Broken.", ""]
    assert [bool(row.file) for row in four] == [True, False, False, True]
    assert {row.delivery for row in four} == {Delivery.WAITING}


def test_a_failure_that_may_pass_is_repeated_alone(engine: StandInEngine, four: list[Generation], queue: Queue) -> None:
    def fault(spec: VideoSpec, done: int) -> None:
        if spec.seed == 2:
            raise EngineError("NaN", public_reason="Broken.", retryable=True)

    engine.before_own_step = fault
    tasks.run_generations()
    assert states(four) == [Status.SUCCEEDED, Status.SUCCEEDED, Status.QUEUED, Status.SUCCEEDED]
    assert queue.job_ids == [f"gen-{four[2].pk}-1"]
    engine.before_own_step = lambda spec, done: None
    tasks.run_generations()
    assert states(four) == [Status.SUCCEEDED] * 4
    assert engine.renders[1:] == [["prompt 2"]]


def test_a_lost_lease_costs_one_of_them(engine: StandInEngine, four: list[Generation]) -> None:
    def lose_the_second(spec: VideoSpec, done: int) -> None:
        if (spec.seed, done) == (1, 2):
            row = Generation.objects.get(seed=1)
            Generation.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
            row.refresh_from_db()
            assert row.recover()
            assert Generation.objects.claim_next("another") == [row]

    engine.before_own_step = lose_the_second
    tasks.run_generations()
    assert states(four) == [Status.SUCCEEDED, Status.RUNNING, Status.SUCCEEDED, Status.SUCCEEDED]
    assert (four[1].owner, four[1].file.name) == ("another", "")


def test_each_lease_is_kept_and_the_loss_of_one_is_told(make_row: MakeRow) -> None:
    mine, also_mine, not_mine = (make_row(user_id=n) for n in range(3))
    for row, owner in ((mine, ME), (also_mine, ME), (not_mine, "another")):
        assert row.start(owner)
    soon = timezone.now() + timedelta(seconds=30)
    Generation.objects.update(lease_until=soon)
    with lease.LeaseKeeper([mine, also_mine, not_mine], ME, beat=0.02) as keeper:
        wait_until(lambda: Generation.objects.filter(lease_until__gt=soon).count() == 2)
        wait_until(lambda: keeper.lost == {not_mine.pk})


def test_a_worker_that_must_end_puts_all_of_them_back(
    engine: StandInEngine, four: list[Generation], queue: Queue
) -> None:
    engine.before_step = lambda done: rendering.shutdown_due.set()
    tasks.run_generations()
    assert states(four) == [Status.QUEUED] * 4
    assert {(row.attempt, row.worker_deaths, row.owner) for row in four} == {(1, 0, "")}
    assert sorted(queue.job_ids) == sorted(f"gen-{row.pk}-1" for row in four)


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit(3), JobTimeoutException()], ids=repr)
def test_a_failure_that_nobody_in_particular_is_to_blame_for_is_repeated_alone(
    engine: StandInEngine, four: list[Generation], queue: Queue, error: BaseException
) -> None:
    """And the one whose fault it was fails alone."""

    def fault(spec: VideoSpec, done: int) -> None:
        if spec.seed == 2:
            raise error

    engine.before_own_step = fault
    tasks.run_generations()
    assert states(four) == [Status.QUEUED] * 4
    for _ in range(4):
        tasks.run_generations()
    assert engine.renders[1:] == [[f"prompt {n}"] for n in range(4)]
    assert states(four) == [Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED]
    assert {row.worker_deaths for row in four} == {0}


def test_a_prompt_that_kills_its_worker_costs_those_beside_it_one_try(
    engine: StandInEngine, four: list[Generation]
) -> None:
    """A worker that is killed writes nothing any more: its rows stay as they are, and their leases lapse."""
    poison = four[2]

    def die() -> None:
        Generation.objects.filter(status=Status.RUNNING).update(lease_until=timezone.now() - timedelta(seconds=1))
        for row in Generation.objects.filter(status=Status.RUNNING):
            assert row.recover()

    assert Generation.objects.claim_next("killed", 4) == four
    die()
    assert states(four) == [Status.QUEUED] * 4
    while rows := Generation.objects.claim_next(ME, 4):
        assert len(rows) == 1, "each alone from now on"
        if rows == [poison]:
            die()
        else:
            assert rows[0].succeed(ME, file="a.mp4", poster="a.jpg", sha256="0", seconds=1)
    assert states(four) == [Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED]
    assert [row.worker_deaths for row in four] == [1, 1, 2, 1]


def test_a_row_that_cannot_be_recorded_does_not_keep_the_others_from_it(
    engine: StandInEngine, four: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed = Generation.succeed

    def refuse_the_first(row: Generation, owner: str, **facts: Any) -> bool:
        if row.seed == 0:
            raise OperationalError("disk full")
        return succeed(row, owner, **facts)

    patiently: Callable[..., Any] = lease.patiently
    monkeypatch.setattr(rendering, "patiently", lambda ask: patiently(ask, seconds=0))
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(Generation, "succeed", refuse_the_first)
    with pytest.raises(OperationalError):
        tasks.run_generations()
    assert states(four) == [Status.RUNNING, Status.SUCCEEDED, Status.SUCCEEDED, Status.SUCCEEDED]
