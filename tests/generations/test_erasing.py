"""A person is erased while their videos wait, are rendered, lie in the storage or are being sent."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from generations import erasing, limits, operating, rendering, services, tasks
from generations.models import Delivery, Erasure, Generation, GenerationEvent, Requester, Status
from generations.services import Person
from tests.generations.conftest import MakeRow, StandInEngine

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]

ALICE, BOB = 1001, 1002


def media_files() -> set[str]:
    root = Path(default_storage.path(""))
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def finished(make_row: MakeRow, name: str, **values: Any) -> Generation:
    """A video in the storage, with its poster."""
    for file in (f"{name}.mp4", f"{name}.jpg"):
        default_storage.save(file, ContentFile(b"x"))
    facts = {"status": Status.SUCCEEDED, "delivery": Delivery.DELIVERED}
    return make_row(file=f"{name}.mp4", poster=f"{name}.jpg", **facts | values)


def test_rows_history_and_files_of_one_person_go_and_nobody_elses(make_row: MakeRow) -> None:
    finished(make_row, "alice", user_id=ALICE).record("delivered", actor="bot")
    for status in (Status.QUEUED, Status.PENDING_REVIEW, Status.FAILED):
        make_row(user_id=ALICE, status=status)
    bobs = finished(make_row, "bob", user_id=BOB)
    bobs.record("delivered", actor="bot")
    assert erasing.kept(ALICE) == erasing.Kept(prompts=4, videos=1)

    erasing.erase(ALICE)

    assert [row.pk for row in Generation.objects.all()] == [bobs.pk]
    assert [event.generation_id for event in GenerationEvent.objects.all()] == [bobs.pk]
    assert [person.user_id for person in Requester.objects.all()] == [BOB]
    assert media_files() == {"bob.mp4", "bob.jpg"}
    [erasure] = Erasure.objects.all()
    assert (erasure.prompts, erasure.updates, erasure.by) == (4, 0, None)


def test_somebody_who_is_not_known_leaves_no_trace_by_asking(make_row: MakeRow) -> None:
    make_row(user_id=BOB)
    assert erasing.erase(ALICE) is None
    assert not Erasure.objects.exists()
    assert Generation.objects.count() == 1


def test_an_erasure_by_an_operator_names_the_operator_only(make_row: MakeRow) -> None:
    olga = User.objects.create_user("olga")
    make_row(user_id=ALICE)
    erasure = erasing.erase(ALICE, by=olga)
    assert erasure is not None
    assert (erasure.prompts, erasure.by) == (1, olga)


def test_a_ban_is_kept_as_a_number_and_a_time(make_row: MakeRow) -> None:
    row = make_row(user_id=ALICE)
    Requester.objects.update(display_name="Alice", username="alice", language_code="de", notes="rude", preset="fast")
    operating.ban(row.requester, by=User.objects.create_user("olga"), reason="Alice spams.")
    banned_at = Requester.objects.get().banned_at

    erasing.erase(ALICE)

    kept = Requester.objects.get()
    assert (kept.user_id, kept.banned_at) == (ALICE, banned_at)
    rest = (kept.display_name, kept.username, kept.language_code, kept.ban_reason, kept.notes, kept.preset)
    assert rest == ("",) * 6
    with pytest.raises(limits.LimitReached) as refusal:
        services.submit(Person(ALICE), "a red circle", request_key="next")
    assert refusal.value.rule == "banned"
    # Submitting has not brought the name back, and there is nothing to erase again.
    assert erasing.erase(ALICE) is None
    assert Requester.objects.get().is_banned
    assert Erasure.objects.count() == 1


def test_a_ring_for_an_erased_prompt_wakes_a_worker_for_nothing(engine: StandInEngine, make_row: MakeRow) -> None:
    tasks.ring(make_row(user_id=ALICE))
    erasing.erase(ALICE)
    tasks.run_generations()
    assert engine.renders == []


@pytest.mark.parametrize("step", [1, 4])
def test_a_render_stops_when_its_person_is_erased(
    engine: StandInEngine, make_row: MakeRow, caplog: pytest.LogCaptureFixture, step: int
) -> None:
    make_row(user_id=ALICE)
    engine.before_step = lambda done: done == step and erasing.erase(ALICE)

    with caplog.at_level(logging.WARNING):
        assert rendering.render_next()

    assert not Generation.objects.exists()
    assert media_files() == set()
    assert caplog.records == []
    # The worker goes on.
    engine.before_step = lambda done: None
    row = make_row(user_id=BOB)
    assert rendering.render_next()
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED


@pytest.mark.parametrize("stored", [1, 2])
def test_a_video_that_is_stored_when_its_person_is_erased_is_thrown_away(
    engine: StandInEngine, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch, stored: int
) -> None:
    """After the poster, and after the clip."""
    make_row(user_id=ALICE)
    keep, kept = rendering._keep, []

    def keep_and_erase(path: Path, name: str) -> str:
        kept.append(keep(path, name))
        if len(kept) == stored:
            erasing.erase(ALICE)
        return kept[-1]

    monkeypatch.setattr(rendering, "_keep", keep_and_erase)
    assert rendering.render_next()
    assert len(kept) == 2
    assert not Generation.objects.exists()
    assert media_files() == set()


def test_whoever_shares_the_render_gets_their_video(
    engine: StandInEngine, make_row: MakeRow, settings: LazySettings
) -> None:
    settings.BATCH_SIZE = 4
    make_row(user_id=ALICE, prompt="a")
    bobs = make_row(user_id=BOB, prompt="b")
    engine.before_step = lambda done: done == 2 and erasing.erase(ALICE)
    assert rendering.render_next()
    assert engine.renders == [["a", "b"]]
    bobs.refresh_from_db()
    assert bobs.status == Status.SUCCEEDED
    assert media_files() == {bobs.file.name, bobs.poster.name}


def test_a_video_being_sent_when_its_person_is_erased_records_nothing(make_row: MakeRow) -> None:
    finished(make_row, "alice", user_id=ALICE, delivery=Delivery.WAITING, chat_id=ALICE)
    row = Generation.objects.claim_delivery("bot")
    assert row is not None
    erasing.erase(ALICE)
    assert not row.delivered("bot", message_id=5)
    assert not Generation.objects.exists()
    assert not GenerationEvent.objects.exists()


def test_an_erasure_that_fails_halfway_has_done_nothing(make_row: MakeRow, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(make_row, "alice", user_id=ALICE)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(Erasure, "save", broken)
    with pytest.raises(RuntimeError, match="no"):
        erasing.erase(ALICE)
    assert Requester.objects.filter(user_id=ALICE).exists()
    assert Generation.objects.count() == 1
    assert media_files() == {"alice.mp4", "alice.jpg"}
