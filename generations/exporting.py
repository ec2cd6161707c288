"""Everything that is stored about one person, as one file to take away. Made when it is asked for, never kept."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.files.storage import default_storage
from django.db.models import Model
from django.utils import timezone

from generations.models import AskedPrompt, AuditEntry, Generation, Requester

# What is left out of the rows: names inside this installation, and what speaks of workers and operators.
INTERNAL = {
    "id",
    "requester_id",
    "request_key",
    "created_by_id",
    "reviewed_by_id",
    "owner",
    "host",
    "lease_until",
    "traceback",
    "file",
    "poster",
    "delivery_owner",
    "delivery_lease_until",
    "delivery_error",
}
SETTINGS = ("preset", "aspect", "seconds", "style", "silent", "no_news", "language")

DOCUMENT = "data.json"
# Bytes at most that a zip writes around each file.
OVERHEAD = 1024


@dataclass(frozen=True)
class Package:
    """A JSON document, alone or with clips in a zip. left_out: how many clips did not fit."""

    filename: str
    content: bytes
    clips: int
    left_out: int


def package(user_id: int, most: int, more: Mapping[str, Any]) -> Package:
    """At most so many bytes; where the clips are more together, the newest of them. more: goes into the document.

    Raises OSError while the storage does not answer.
    """
    rows = list(Generation.objects.filter(requester__user_id=user_id).prefetch_related("events").order_by("-pk"))
    stored = {row.pk: str(row.file.name) for row in rows if row.file.name and default_storage.exists(row.file.name)}
    document = _document(user_id, rows, stored, {}, more)
    if not stored:
        return Package(DOCUMENT, document, 0, 0)
    room = most - len(document) - OVERHEAD * (1 + len(stored))
    clips = dict(_newest(stored, room))
    document = _document(user_id, rows, stored, clips, more)
    content = io.BytesIO()
    # Clips are compressed already.
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(DOCUMENT, document)
        for pk, name in clips.items():
            with default_storage.open(stored[pk], "rb") as file:
                archive.writestr(name, file.read())
    return Package("data.zip", content.getvalue(), len(clips), len(stored) - len(clips))


def _newest(stored: Mapping[int, str], room: int) -> Iterable[tuple[int, str]]:
    """Which clips fit, with their names in the zip."""
    for pk, name in stored.items():
        room -= default_storage.size(name)
        if room < 0:
            return
        yield pk, f"videos/{pk}.mp4"


def _document(
    user_id: int,
    rows: Iterable[Generation],
    stored: Mapping[int, str],
    clips: Mapping[int, str],
    more: Mapping[str, Any],
) -> bytes:
    requester = Requester.objects.filter(user_id=user_id).first()
    person = _fields(requester) if requester else {"user_id": user_id}
    content = {
        "made_at": timezone.now(),
        "person": {name: value for name, value in person.items() if name not in SETTINGS},
        "settings": {name: person.get(name) for name in SETTINGS},
        "prompts": [
            {
                "number": row.pk,
                **_fields(row),
                "clip": clips.get(row.pk),
                "clip_is_stored": row.pk in stored,
                "events": [
                    {"at": event.at, "what": event.kind, "by_you": event.actor == "requester"}
                    for event in row.events.all()
                ],
            }
            for row in rows
        ],
        # Who did it and why is the operators' own; a reason that the person may know was told.
        "done_by_operators": [
            {"at": entry.at, "what": entry.action, "to": entry.object_type.partition(".")[2], "number": entry.object_id}
            for entry in AuditEntry.objects.filter(person__user_id=user_id).order_by("pk")
        ],
        "asked_prompts": [_fields(row) for row in AskedPrompt.objects.filter(requester__user_id=user_id)],
        **more,
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, default=_plain)
    # Half a character, which people can send, stands there as JSON's own escape.
    return text.encode("utf-8", "backslashreplace")


def _fields(row: Model) -> dict[str, Any]:
    """Every column that is there, also those that are added some day."""
    names = (field.attname for field in row._meta.concrete_fields)
    return {name: getattr(row, name) for name in names if name not in INTERNAL}


def _plain(value: Any) -> str:
    """Times as ISO 8601."""
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
