"""What killed processes leave behind is put right, and Redis is rung when it forgot."""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta
from io import StringIO

import pytest
import redis
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.utils import timezone
from rq import Queue

from generations import tasks
from generations.models import DELIVERY_LEASE, LEASE, Delivery, Status
from generations.sweep import SweepResult, sweep, sweep_patiently
from tests.generations.conftest import MakeRow

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def lapsed() -> dict[str, object]:
    return {"status": Status.RUNNING, "owner": "dead", "lease_until": timezone.now() - timedelta(seconds=1)}


def test_rows_of_dead_workers_are_queued_again_failed_or_cancelled(queue: Queue, make_row: MakeRow) -> None:
    again, last, cancelled = (
        make_row(**lapsed()),
        make_row(**lapsed(), worker_deaths=1, chat_id=5),
        make_row(**lapsed(), cancel_requested_at=timezone.now()),
    )
    alive = make_row(status=Status.RUNNING, owner="alive", lease_until=timezone.now() + timedelta(seconds=30))

    assert sweep() == SweepResult(requeued=1, failed=1, cancelled=1, rang=True)

    for row in (again, last, cancelled, alive):
        row.refresh_from_db()
    assert [row.status for row in (again, last, cancelled, alive)] == [
        Status.QUEUED,
        Status.FAILED,
        Status.CANCELLED,
        Status.RUNNING,
    ]
    assert last.delivery == Delivery.WAITING
    assert queue.count == 1, "the row that waits again has a bell"


CLIP = b"all of the clip"


def stored(content: bytes) -> dict[str, object]:
    """A row of a worker that died when it had announced CLIP and stored this much of it."""
    names = {"file": "videos/a.mp4", "poster": "videos/a.jpg"}
    for name in names.values():
        default_storage.save(name, ContentFile(content))
    return {**lapsed(), **names, "sha256": hashlib.sha256(CLIP).hexdigest(), "chat_id": 5}


def test_a_video_that_its_dead_worker_had_stored_is_sent_and_not_made_again(queue: Queue, make_row: MakeRow) -> None:
    row = make_row(**stored(CLIP), worker_deaths=1)
    assert sweep() == SweepResult(finished=1)
    row.refresh_from_db()
    assert (row.status, row.delivery, row.file.name) == (Status.SUCCEEDED, Delivery.WAITING, "videos/a.mp4")


@pytest.mark.parametrize("fate", ["queued again", "given up", "cancelled"])
def test_a_half_video_of_a_dead_worker_is_removed(queue: Queue, make_row: MakeRow, fate: str) -> None:
    facts = {"given up": {"worker_deaths": 1}, "cancelled": {"cancel_requested_at": timezone.now()}}
    row = make_row(**stored(CLIP[:5]), **facts.get(fate, {}))
    assert sweep()
    row.refresh_from_db()
    assert row.status == {"queued again": Status.QUEUED, "given up": Status.FAILED, "cancelled": Status.CANCELLED}[fate]
    assert (row.file.name, row.poster.name, row.sha256) == ("", "", "")
    assert default_storage.listdir("videos") == ([], [])


def test_a_storage_that_does_not_answer_decides_nothing(
    queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(name: str) -> bool:
        raise OSError("away")

    row = make_row(**stored(CLIP))
    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "exists", away)
        assert not sweep()
    assert sweep().finished == 1
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED


def test_a_second_sweep_finds_nothing_to_do(queue: Queue, make_row: MakeRow) -> None:
    make_row(**lapsed())
    assert sweep()
    assert not sweep()


def test_a_prompt_whose_bell_redis_forgot_is_rung_again_once(queue: Queue, make_row: MakeRow) -> None:
    for _ in range(5):
        make_row()
    assert sweep().rang
    for _ in range(20):
        assert not sweep().rang
    assert queue.count == 1, "one bell, however often it is swept"


def test_a_prompt_with_a_bell_is_not_rung_again(queue: Queue, make_row: MakeRow) -> None:
    tasks.ring(make_row())
    assert not sweep().rang
    assert queue.count == 1


def test_a_clock_that_jumps_ahead_does_not_take_a_living_workers_row(
    queue: Queue, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generations.sweep.CLOCK_JUMP", 0.2)
    row, dead = make_row(**lapsed()), make_row(**lapsed())
    assert not sweep_patiently()
    row.renew_lease("dead")
    time.sleep(0.25)
    assert sweep_patiently().requeued == 1
    row.refresh_from_db()
    dead.refresh_from_db()
    assert (row.status, dead.status) == (Status.RUNNING, Status.QUEUED)


def test_a_clock_that_is_set_back_does_not_prolong_a_dead_workers_lease(queue: Queue, make_row: MakeRow) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    rendering = make_row(status=Status.RUNNING, owner="dead", lease_until=tomorrow)
    sending = make_row(status=Status.SUCCEEDED, delivery=Delivery.SENDING, delivery_lease_until=tomorrow)
    assert not sweep()
    rendering.refresh_from_db()
    sending.refresh_from_db()
    assert rendering.lease_until < timezone.now() + 2 * LEASE
    assert sending.delivery_lease_until < timezone.now() + 2 * DELIVERY_LEASE


def test_an_empty_queue_is_never_rung(queue: Queue) -> None:
    assert not sweep()
    assert queue.count == 0


def test_a_bell_that_was_popped_and_lost_is_rung_again(queue: Queue, make_row: MakeRow) -> None:
    tasks.ring(make_row())
    queue.connection.lmove(queue.key, queue.intermediate_queue_key)
    assert sweep().rang


def test_deliveries_of_a_dead_bot_are_released(queue: Queue, make_row: MakeRow) -> None:
    stuck = make_row(
        status=Status.SUCCEEDED,
        delivery=Delivery.SENDING,
        delivery_owner="dead",
        delivery_lease_until=timezone.now() - timedelta(seconds=1),
        status_message_id=3,
    )
    busy = make_row(
        status=Status.SUCCEEDED,
        delivery=Delivery.SENDING,
        delivery_lease_until=timezone.now() + timedelta(seconds=60),
    )
    assert sweep().deliveries == 1
    stuck.refresh_from_db()
    busy.refresh_from_db()
    assert (stuck.delivery, busy.delivery) == (Delivery.WAITING, Delivery.SENDING)


def test_without_redis_the_rows_are_put_right_all_the_same(make_row: MakeRow, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Queue:
        raise redis.ConnectionError("refused")

    monkeypatch.setattr(tasks, "_queue", away)
    row = make_row(**lapsed())
    result = sweep()
    row.refresh_from_db()
    assert row.status == Status.QUEUED
    assert result.problem == "the queue does not answer: ConnectionError"


def test_the_command_says_in_one_line_what_it_did(queue: Queue, make_row: MakeRow) -> None:
    make_row(**lapsed())
    out = StringIO()
    call_command("sweep", stdout=out)
    assert out.getvalue() == "1 queued again, 0 finished, 0 failed, 0 cancelled, 0 deliveries released, 1 bell rung\n"
