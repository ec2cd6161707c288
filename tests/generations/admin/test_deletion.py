"""Deleted rows leave no files, and files do not go before their row has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import Client

from generations.models import Delivery, Generation, Requester, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

Make = Callable[..., Generation]


@pytest.fixture
def finished(prompt: Make) -> Make:
    """A delivered generation with its two files."""

    def make(name: str = "clip", **changes: object) -> Generation:
        for file in (f"{name}.mp4", f"{name}.jpg"):
            default_storage.save(file, ContentFile(b"x"))
        told = {"status": Status.SUCCEEDED, "delivery": Delivery.DELIVERED}
        return prompt(file=f"{name}.mp4", poster=f"{name}.jpg", **told | changes)

    return make


def files() -> set[str]:
    return set(default_storage.listdir("")[1])


def test_the_delete_page_takes_the_files_along(finished: Make, page: Client) -> None:
    row = finished()
    page.post(f"/admin/generations/generation/{row.pk}/delete/", {"post": "yes"})
    assert not Generation.objects.exists()
    assert files() == set()


def test_the_bulk_action_takes_only_the_files_of_its_rows(finished: Make, page: Client) -> None:
    rows = [finished(name) for name in ("one", "two", "three", "kept")]
    chosen = {"action": "delete_selected", "_selected_action": [row.pk for row in rows[:3]], "post": "yes"}
    page.post("/admin/generations/generation/", chosen)
    assert files() == {"kept.mp4", "kept.jpg"}


def test_querysets_and_cascades_take_the_files_along(finished: Make, person: Requester) -> None:
    finished("one")
    Generation.objects.all().delete()
    assert files() == set()
    finished("two")
    person.delete()
    assert files() == set()


def test_a_rollback_keeps_row_and_files(finished: Make) -> None:
    row = finished()
    with transaction.atomic():
        Generation.objects.filter(pk=row.pk).delete()
        assert files() == {"clip.mp4", "clip.jpg"}
        transaction.set_rollback(True)
    assert Generation.objects.filter(pk=row.pk).exists()
    assert files() == {"clip.mp4", "clip.jpg"}


def test_a_file_that_is_gone_already_is_no_error(finished: Make) -> None:
    row = finished()
    default_storage.delete("clip.mp4")
    row.delete()
    assert files() == set()


@pytest.mark.parametrize(
    ("status", "delivery"),
    [
        (Status.QUEUED, Delivery.NONE),
        (Status.RUNNING, Delivery.NONE),
        (Status.SUCCEEDED, Delivery.WAITING),
        (Status.REJECTED, Delivery.SENDING),
    ],
)
def test_what_somebody_waits_for_cannot_be_deleted(
    finished: Make, person: Requester, page: Client, status: Status, delivery: Delivery
) -> None:
    row = finished(status=status, delivery=delivery)
    assert page.post(f"/admin/generations/generation/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    assert page.post("/admin/generations/generation/", chosen).status_code == 403
    assert page.post(f"/admin/generations/requester/{person.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Generation.objects.filter(pk=row.pk).exists()
    assert len(files()) == 2
