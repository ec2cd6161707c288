"""A video that is too large to be sent is encoded again by a worker: once, safely, and never rendered again."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from rq import Queue

from generations import reencoding, services, tasks
from generations.models import Delivery, Generation, Status
from tests.generations.conftest import MakeRow, StandInEngine

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

BOT = "bot 1"


def media_files() -> list[str]:
    root = Path(default_storage.path(""))
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.mp4"))


@pytest.fixture
def large(engine: StandInEngine, queue: Queue, make_row: MakeRow) -> Generation:
    """A finished video that the bot could not send."""
    row = make_row(chat_id=5, frames=16, width=128, height=128)
    tasks.run_generations()
    assert Generation.objects.claim_delivery(BOT) == row
    row.refresh_from_db()
    queue.empty()
    assert services.make_smaller(row, BOT, reason="Request Entity Too Large")
    return row


def kinds(row: Generation) -> list[str]:
    return list(row.events.order_by("pk").values_list("kind", flat=True))


def test_it_comes_back_smaller_and_the_old_file_goes(large: Generation, engine: StandInEngine, queue: Queue) -> None:
    before, size, rendered = large.file.name, large.file.size, len(engine.rendered)
    assert queue.job_ids == [f"smaller-{large.pk}-1"]

    tasks.run_generations()

    large.refresh_from_db()
    assert (large.status, large.delivery) == (Status.SUCCEEDED, Delivery.WAITING)
    assert large.file.name != before
    assert media_files() == [large.file.name]
    assert large.file.size <= size // 2
    with large.file.open() as file:
        assert large.sha256 == hashlib.sha256(file.read()).hexdigest()
    assert len(engine.rendered) == rendered, "not rendered again"
    assert kinds(large)[-3:] == ["too large", "making smaller", "made smaller"]
    assert large.events.last().detail == f"{size} -> {large.file.size} bytes"
    assert default_storage.exists(large.poster.name)


def test_it_is_made_smaller_once(large: Generation) -> None:
    tasks.run_generations()
    assert Generation.objects.claim_delivery(BOT) == large
    large.refresh_from_db()
    assert not services.make_smaller(large, BOT, reason="Request Entity Too Large")
    large.refresh_from_db()
    assert large.delivery == Delivery.SENDING


def test_only_whoever_sends_it_may_ask_for_that(make_row: MakeRow, queue: Queue) -> None:
    row = make_row(status=Status.SUCCEEDED, delivery=Delivery.SENDING, delivery_owner="another", file="a.mp4")
    assert not services.make_smaller(row, BOT, reason="")
    assert queue.count == 0


def test_a_file_that_cannot_be_encoded_goes_back_as_it_is(large: Generation) -> None:
    name = default_storage.save("videos/broken.mp4", ContentFile(b"no video"))
    Generation.objects.update(file=name)
    tasks.run_generations()
    large.refresh_from_db()
    assert (large.delivery, large.file.name) == (Delivery.WAITING, name)
    assert kinds(large)[-1] == "not made smaller"
    assert default_storage.exists(name)


def test_a_worker_that_lost_its_lease_leaves_the_row_alone(large: Generation, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink = reencoding.shrink_video

    def overtaken(*args: Any) -> Any:
        Generation.objects.update(delivery_owner="another worker")
        return shrink(*args)

    monkeypatch.setattr(reencoding, "shrink_video", overtaken)
    before = large.file.name
    tasks.run_generations()
    large.refresh_from_db()
    assert (large.delivery, large.file.name) == (Delivery.TOO_LARGE, before)
    assert media_files() == [before]


def test_two_workers_do_not_take_the_same(large: Generation) -> None:
    assert Generation.objects.claim_too_large("worker 1") == large
    assert Generation.objects.claim_too_large("worker 2") is None
    Generation.objects.update(delivery_lease_until=timezone.now() - timedelta(seconds=1))
    assert Generation.objects.claim_too_large("worker 2") == large


def test_a_file_that_kills_its_worker_twice_is_given_up(large: Generation) -> None:
    for number in range(2):
        assert Generation.objects.claim_too_large(f"worker {number}") == large
        Generation.objects.update(delivery_lease_until=timezone.now() - timedelta(seconds=1))
    tasks.run_generations()
    large.refresh_from_db()
    assert large.delivery == Delivery.WAITING
    assert large.events.last().detail == "ValueError('2 workers died on it')"


def test_its_bell_rings_again_when_redis_has_lost_it(large: Generation, queue: Queue) -> None:
    queue.empty()
    assert tasks.ring_if_silent()
    assert queue.count == 1


def test_nobody_makes_it_smaller_for_a_chat_that_is_gone(large: Generation) -> None:
    assert services.chat_unreachable(5, by="bot", reason="blocked", since=timezone.now()) == 1
    large.refresh_from_db()
    assert large.delivery == Delivery.UNDELIVERABLE
    assert Generation.objects.claim_too_large("worker 1") is None
