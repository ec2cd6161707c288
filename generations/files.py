"""Stored files and rows, compared both ways."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.core.files.storage import default_storage
from django.db.models import Q

from generations.models import Generation, Status

FOLDER = "videos"
# Names per query; SQLite takes 999 parameters at least, and each name is asked for twice.
AT_ONCE = 400


def without_row(before: datetime) -> Iterator[str]:
    """Names of videos and posters that no row mentions. Only what is older: a newer one may just be on its way."""
    names: list[str] = []
    for name in _stored(FOLDER):
        if default_storage.get_modified_time(name) < before:
            names.append(name)
        if len(names) == AT_ONCE:
            yield from _unknown(names)
            names = []
    yield from _unknown(names)


def rows_without_file() -> Iterator[Generation]:
    """Finished rows whose video is not in the storage."""
    rows = Generation.objects.filter(status=Status.SUCCEEDED).exclude(file="").only("pk", "file")
    for row in rows.order_by("pk").iterator(chunk_size=1000):
        if not default_storage.exists(str(row.file.name)):
            yield row


def _stored(folder: str) -> Iterator[str]:
    if not default_storage.exists(folder):
        return
    folders, files = default_storage.listdir(folder)
    for name in sorted(files):
        yield f"{folder}/{name}"
    for name in sorted(folders):
        yield from _stored(f"{folder}/{name}")


def _unknown(names: list[str]) -> list[str]:
    rows = Generation.objects.filter(Q(file__in=names) | Q(poster__in=names)).values_list("file", "poster")
    known = {name for pair in rows for name in pair}
    return [name for name in names if name not in known]
