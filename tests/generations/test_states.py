"""Every change of state, legal or not, and what happens when two want the same row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from generations.models import (
    DELIVERY_TRANSITIONS,
    FINISHED,
    TRANSITIONS,
    Delivery,
    Generation,
    Status,
)
from tests.generations.conftest import MakeRow

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ME = "host.1.aa"

CHANGES: dict[str, tuple[Callable[[Generation], bool], dict[Status, Status]]] = {
    "approve": (
        lambda row: row.queue(by=User.objects.get_or_create(username="ann")[0]),
        {Status.PENDING_REVIEW: Status.QUEUED},
    ),
    "reject": (
        lambda row: row.reject(by=User.objects.get_or_create(username="ann")[0], reason="no"),
        {Status.PENDING_REVIEW: Status.REJECTED},
    ),
    "start": (lambda row: row.start(ME), {Status.QUEUED: Status.RUNNING}),
    "succeed": (
        lambda row: row.succeed(ME, file="a.mp4", poster="a.jpg", sha256="0", seconds=1.5),
        {Status.RUNNING: Status.SUCCEEDED},
    ),
    "fail": (lambda row: row.fail(ME, public_reason="Sorry.", traceback=""), {Status.RUNNING: Status.FAILED}),
    "retry": (lambda row: row.retry_later(ME, reason="later"), {Status.RUNNING: Status.QUEUED}),
    "stopped": (lambda row: row.stopped(ME), {Status.RUNNING: Status.CANCELLED}),
    "recover": (lambda row: row.recover(), {Status.RUNNING: Status.QUEUED}),
    # Cancelling what runs is a request; the row changes when the worker obeys.
    "cancel": (
        lambda row: row.cancel(actor="ann"),
        {
            Status.PENDING_REVIEW: Status.CANCELLED,
            Status.QUEUED: Status.CANCELLED,
            Status.RUNNING: Status.RUNNING,
        },
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("status", Status)
def test_only_the_written_down_changes_of_status_happen(change: str, status: Status, make_row: MakeRow) -> None:
    owned = {"owner": ME, "lease_until": timezone.now() - timedelta(hours=1)} if status == Status.RUNNING else {}
    row = make_row(status=status, chat_id=5, **owned)
    call, legal = CHANGES[change]

    assert call(row) is (status in legal)

    row.refresh_from_db()
    target = legal.get(status, status)
    assert row.status == target
    assert target == status or target in TRANSITIONS[status]
    assert row.events.count() == (1 if status in legal else 0), "every change is written down, and nothing else"
    finished = target in FINISHED and target != status
    assert row.delivery == (Delivery.WAITING if finished else Delivery.NONE), "whatever the end is, the person is told"
    assert (row.finished_at is not None) is finished
    if finished or target == Status.QUEUED:
        assert row.owner == ""
        assert row.lease_until is None or status == target


@pytest.mark.parametrize("delivery", Delivery)
def test_only_the_written_down_changes_of_delivery_happen(delivery: Delivery, make_row: MakeRow) -> None:
    calls: dict[Delivery, Callable[[Generation], bool]] = {
        Delivery.DELIVERED: lambda row: row.delivered("bot", message_id=9, file_id="f"),
        Delivery.UNDELIVERABLE: lambda row: row.undeliverable("bot", reason="blocked"),
        Delivery.UNKNOWN: lambda row: row.delivery_unknown("bot", reason="no reply"),
        Delivery.WAITING: lambda row: row.deliver_later("bot", wait=timedelta(seconds=3), reason="429"),
    }
    for target, call in calls.items():
        row = make_row(status=Status.SUCCEEDED, delivery=delivery, delivery_owner="bot")
        assert call(row) is (delivery == Delivery.SENDING), "only who sends may say how it ended"
        assert delivery != Delivery.SENDING or target in DELIVERY_TRANSITIONS[delivery]
        row.refresh_from_db()
        assert row.delivery in {delivery, target}


def test_a_held_video_is_sent_or_refused_and_only_once(make_row: MakeRow) -> None:
    ann, bob = User.objects.create(username="ann"), User.objects.create(username="bob")
    row = make_row(status=Status.RUNNING, owner=ME, chat_id=5, hold_delivery=True)
    assert row.succeed(ME, file="a.mp4", poster="a.jpg", sha256="0", seconds=1.5)
    assert (row.status, row.delivery) == (Status.SUCCEEDED, Delivery.HELD)
    assert Generation.objects.claim_delivery("bot") is None

    other = make_row(status=Status.SUCCEEDED, delivery=Delivery.HELD, chat_id=5, file="b.mp4")
    assert (row.release(by=ann), row.release(by=bob), row.reject(by=bob, reason="no")) == (True, False, False)
    assert (other.reject(by=bob, reason="no"), other.release(by=ann)) == (True, False)
    assert (row.delivery, row.reviewed_by) == (Delivery.WAITING, ann)
    assert (other.status, other.delivery, other.public_error) == (Status.REJECTED, Delivery.WAITING, "no")
    assert other.file.name == "b.mp4", "the operators may still look at it"
    assert other.finished_at is None, "when it was made is not when it was refused"


@pytest.mark.parametrize("status", [Status.FAILED, Status.REJECTED])
def test_what_has_no_video_to_show_is_sent_again_without_being_held(status: Status, make_row: MakeRow) -> None:
    row = make_row(status=status, delivery=Delivery.UNDELIVERABLE, chat_id=5, hold_delivery=True)
    assert row.resend(actor="ann")
    assert row.delivery == Delivery.WAITING


def test_a_failure_is_told_at_once_although_a_video_would_be_held(make_row: MakeRow) -> None:
    row = make_row(status=Status.RUNNING, owner=ME, chat_id=5, hold_delivery=True)
    assert row.fail(ME, public_reason="Sorry.", traceback="")
    assert row.delivery == Delivery.WAITING


@pytest.mark.parametrize(
    ("facts", "held"),
    [
        ({"status": Status.QUEUED}, True),
        ({"status": Status.RUNNING}, True),
        ({"status": Status.SUCCEEDED, "delivery": Delivery.WAITING}, True),
        ({"status": Status.SUCCEEDED, "delivery": Delivery.WAITING, "delivery_attempts": 1}, False),
        ({"status": Status.SUCCEEDED, "delivery": Delivery.SENDING}, False),
        ({"status": Status.SUCCEEDED, "delivery": Delivery.DELIVERED}, False),
        ({"status": Status.FAILED, "delivery": Delivery.WAITING}, False),
        ({"status": Status.QUEUED, "chat_id": None}, False),
    ],
)
def test_a_video_can_be_held_until_somebody_begins_to_send_it(
    facts: dict[str, Any], held: bool, make_row: MakeRow
) -> None:
    row = make_row(**{"chat_id": 5, **facts})
    assert row.hold(by="ann") is held
    assert row.hold(by="ann") is False, "once is enough"
    row.refresh_from_db()
    assert row.hold_delivery is held
    assert (row.delivery == Delivery.HELD) is (held and facts["status"] == Status.SUCCEEDED)


def test_a_row_without_a_chat_ends_without_anybody_to_tell(make_row: MakeRow) -> None:
    row = make_row(status=Status.RUNNING, owner=ME)
    assert row.fail(ME, public_reason="Sorry.", traceback="")
    assert row.delivery == Delivery.NONE


def test_a_worker_whose_lease_was_given_away_cannot_write(make_row: MakeRow) -> None:
    row = make_row()
    assert row.start("old")
    stale = Generation.objects.get(pk=row.pk)
    assert row.retry_later("old", reason="given away")
    assert Generation.objects.claim_next("new") == [row]

    for write in (
        lambda: stale.renew_lease("old"),
        lambda: stale.report_progress("old", 50),
        lambda: stale.succeed("old", file="a", poster="b", sha256="c", seconds=1),
        lambda: stale.fail("old", public_reason="", traceback=""),
        lambda: stale.retry_later("old", reason=""),
        lambda: stale.stopped("old"),
    ):
        assert write() is False
    assert stale.cancel_wanted("old"), "it is told to stop"


def test_the_same_worker_cannot_write_with_an_attempt_that_is_over(make_row: MakeRow) -> None:
    row = make_row()
    row.start(ME)
    first_attempt = Generation.objects.get(pk=row.pk)
    row.retry_later(ME, reason="again")
    assert Generation.objects.claim_next(ME) == [row]
    assert not first_attempt.fail(ME, public_reason="", traceback="")


def test_two_worker_deaths_on_one_prompt_end_it_with_a_message(make_row: MakeRow) -> None:
    row = make_row(chat_id=5)
    for died in (1, 2):
        assert Generation.objects.claim_next(f"worker {died}") == [row]
        Generation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        row.refresh_from_db()
        assert row.recover()
    assert (row.status, row.worker_deaths, row.delivery) == (Status.FAILED, 2, Delivery.WAITING)
    assert "twice" in row.public_error


def test_a_cancelled_row_of_a_dead_worker_is_cancelled_not_repeated(make_row: MakeRow) -> None:
    row = make_row(chat_id=5)
    row.start(ME)
    assert row.cancel(actor="ann")
    assert not row.cancel(actor="ann"), "the second press changes nothing"
    Generation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    row.refresh_from_db()
    assert row.recover()
    assert row.status == Status.CANCELLED


def test_a_lease_that_still_holds_is_not_recovered(make_row: MakeRow) -> None:
    row = make_row()
    row.start(ME)
    assert not row.recover()


def test_a_dead_bots_edit_is_repeated_and_its_plain_send_is_not(make_row: MakeRow) -> None:
    lapsed = {
        "status": Status.SUCCEEDED,
        "delivery": Delivery.SENDING,
        "delivery_lease_until": timezone.now() - timedelta(seconds=1),
    }
    edited, sent = make_row(**lapsed, status_message_id=3), make_row(**lapsed)
    assert edited.recover_delivery()
    assert sent.recover_delivery()
    assert (edited.delivery, sent.delivery) == (Delivery.WAITING, Delivery.UNKNOWN)


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_that_want_one_row_exactly_one_gets_it(make_row: MakeRow) -> None:
    row = make_row()
    together = threading.Barrier(8)
    winners: list[str] = []

    def claim(owner: str) -> None:
        try:
            together.wait()
            if Generation.objects.claim_next(owner):
                winners.append(owner)
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    row.refresh_from_db()
    assert winners == [row.owner]
    assert row.attempt == 1
    assert row.events.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
def test_a_worker_does_not_wait_for_a_row_that_another_one_is_taking(make_row: MakeRow) -> None:
    first, second = make_row(user_id=1), make_row(user_id=2)
    taken, done = threading.Event(), threading.Event()

    def take_slowly() -> None:
        with transaction.atomic():
            Generation.objects.select_for_update().get(pk=first.pk)
            taken.set()
            done.wait(20)
        connection.close()

    other = threading.Thread(target=take_slowly)
    other.start()
    assert taken.wait(20)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")
        assert Generation.objects.claim_next("me") == [second]
    done.set()
    other.join()


def test_somebody_with_one_prompt_does_not_wait_behind_somebody_with_ten(make_row: MakeRow) -> None:
    busy = [make_row(user_id=1, queued_at=timezone.now()) for _ in range(10)]
    single = make_row(user_id=2, queued_at=timezone.now())
    order = [row for _ in range(4) for row in Generation.objects.claim_next(ME)]
    assert order == [busy[0], single, busy[1], busy[2]]


def test_the_positions_told_are_the_order_served(make_row: MakeRow) -> None:
    for user_id in (1, 1, 1, 2, 3, 3):
        make_row(user_id=user_id, queued_at=timezone.now())
    make_row(user_id=1, priority=5, queued_at=timezone.now())
    told = Generation.objects.queue_positions()
    served = []
    while rows := Generation.objects.claim_next(ME):
        served += [row.pk for row in rows]
    assert sorted(told, key=lambda pk: told[pk]) == served


def test_a_priority_row_goes_first(make_row: MakeRow) -> None:
    make_row(user_id=1)
    urgent = make_row(user_id=1, priority=1)
    assert Generation.objects.claim_next(ME) == [urgent]
