"""`manage.py audit`: files without rows and rows without files."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from generations.models import Status
from tests.generations.conftest import MakeRow

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def _one_of_each(make_row: MakeRow) -> None:
    for name in ("known.mp4", "known.jpg", "orphan.mp4"):
        default_storage.save(f"videos/2026/11/{name}", ContentFile(b"x"))
    done = {"status": Status.SUCCEEDED}
    make_row(pk=1, file="videos/2026/11/known.mp4", poster="videos/2026/11/known.jpg", **done)
    make_row(pk=2, file="videos/2026/11/lost.mp4", **done)


def audit(*arguments: str) -> str:
    out = StringIO()
    with pytest.raises(CommandError) as ending:
        call_command("audit", *arguments, stdout=out)
    return f"{out.getvalue()}{ending.value}\n"


@pytest.mark.usefixtures("_one_of_each")
def test_both_kinds_of_orphan_are_listed() -> None:
    assert audit("--older-than", "0") == (
        "no row: videos/2026/11/orphan.mp4\n"
        "no file: #2 videos/2026/11/lost.mp4\n"
        "1 files without a row, 1 rows without their file\n"
    )
    assert default_storage.exists("videos/2026/11/orphan.mp4")


@pytest.mark.usefixtures("_one_of_each")
def test_a_new_file_may_still_get_its_row() -> None:
    assert "orphan" not in audit("--delete")


@pytest.mark.usefixtures("_one_of_each")
def test_told_to_it_deletes_what_no_row_mentions_and_nothing_else() -> None:
    assert "deleted, no row: videos/2026/11/orphan.mp4" in audit("--delete", "--older-than", "0")
    assert set(default_storage.listdir("videos/2026/11")[1]) == {"known.jpg", "known.mp4"}


def test_an_empty_installation_is_in_order() -> None:
    out = StringIO()
    call_command("audit", stdout=out)
    assert out.getvalue() == "0 files without a row, 0 rows without their file\n"
