"""Times are those of the operators' zone, with its name; how long something took depends on no clock change."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.test import Client

from generations.models import Generation, GenerationEvent, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db]

# The clock in Berlin goes from 02:59 back to 02:00 at 01:00 UTC.
BEFORE_THE_CHANGE = datetime(2026, 10, 25, 0, 58, tzinfo=UTC)


@pytest.fixture
def row(prompt: Callable[..., Generation]) -> Generation:
    """Three minutes in the queue, two minutes of rendering, over the change of the clock."""
    row = prompt(status=Status.SUCCEEDED)
    begun = BEFORE_THE_CHANGE + timedelta(minutes=3)
    Generation.objects.filter(pk=row.pk).update(
        created_at=BEFORE_THE_CHANGE,
        queued_at=BEFORE_THE_CHANGE,
        started_at=begun,
        finished_at=begun + timedelta(minutes=2),
        render_seconds=120,
    )
    event = GenerationEvent.objects.create(generation=row, kind="started", actor="gpu-1")
    GenerationEvent.objects.filter(pk=event.pk).update(at=begun)
    return row


@pytest.mark.parametrize(
    ("zone", "started"),
    [
        ("UTC", "2026-10-25 01:01:00 UTC"),
        ("Asia/Kolkata", "2026-10-25 06:31:00 IST"),
        ("Europe/Berlin", "2026-10-25 02:01:00 CET"),
    ],
)
def test_the_page_of_a_job_names_the_zone_and_tells_the_right_durations(
    settings: LazySettings, row: Generation, page: Client, zone: str, started: str
) -> None:
    settings.TIME_ZONE = zone
    shown = page.get(f"/admin/generations/generation/{row.pk}/change/").content.decode()
    [began] = re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+)</time>\s+<span><strong>started", shown)
    assert began == started
    assert "<dt>Waited</dt><dd>3 min 0 s</dd>" in shown
    assert "<dt>Rendered in</dt><dd>2 min 0 s</dd>" in shown
    row.refresh_from_db()
    assert row.started_at == BEFORE_THE_CHANGE + timedelta(minutes=3)
    assert row.started_at.tzinfo is UTC
