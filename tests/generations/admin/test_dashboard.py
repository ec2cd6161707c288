"""The operators' first page: where everything stands, and how the last day went."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis import Redis

from generations import figures, rendering
from generations.admin.charts import Bar, ceiling, stacked_bars
from generations.models import Generation, Requester, Status
from generations.worker import GenerationWorker

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]
FRAGMENT = "/admin/generations/generation/dashboard/"


@pytest.fixture(autouse=True)
def _no_queue_server(settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


@pytest.fixture
def ended(prompt: Make) -> Make:
    """A row that ended so many seconds ago, after a wait and a rendering."""

    def make(ago: float, *, waited: float = 10, rendered: float | None = 20, **changes: Any) -> Generation:
        at = timezone.now() - timedelta(seconds=ago)
        row = prompt(**{"status": Status.SUCCEEDED, "finished_at": at, "render_seconds": rendered, **changes})
        started = at - timedelta(seconds=rendered or 0)
        created = started - timedelta(seconds=waited)
        Generation.objects.filter(pk=row.pk).update(started_at=started, created_at=created)
        return row

    return make


def tiles(text: str) -> dict[str, str]:
    found = re.findall(r"<div><dt>(?:<a [^>]*>)?([^<]+)(?:</a>)?</dt><dd>([^<]+)</dd></div>", text)
    return dict(found)


def test_the_queue_and_the_last_day_are_told(prompt: Make, ended: Make, page: Client) -> None:
    prompt()
    prompt()
    prompt(status=Status.PENDING_REVIEW)
    for number in range(3):
        ended(60 * number)
    ended(90, status=Status.FAILED, rendered=None, public_error="Not enough <memory>.")
    ended(90, status=Status.CANCELLED, rendered=None)
    ended(3 * 86_400)
    shown = page.get("/admin/").content.decode()
    told = tiles(shown)
    counts = {name: told[name] for name in ("Waiting", "Rendering", "Held for review", "Made in 24 hours")}
    assert counts == {"Waiting": "2", "Rendering": "0", "Held for review": "1", "Made in 24 hours": "3"}
    assert told["Success rate"] == "75.0 %"
    assert "Not enough &lt;memory&gt;." in shown
    assert re.search(r"Petra</bdi></a></th><td>5</td>", shown)
    assert "The queue server does not answer" in shown


def test_half_waited_no_longer_and_ninety_five_of_a_hundred(ended: Make) -> None:
    for number in range(1, 21):
        ended(60, waited=number, rendered=100 * number)
    day = figures.lately()
    assert day.wait is not None
    assert (round(day.wait.median), round(day.wait.p95)) == (10, 19)
    assert day.render == figures.Spread(median=1000, p95=1900)


def test_each_hour_has_its_videos_and_failures(ended: Make) -> None:
    now = timezone.localtime()
    into_the_hour = now.minute * 60 + now.second
    ended(0)
    ended(into_the_hour + 60)
    ended(into_the_hour + 60, status=Status.FAILED)
    # Before the first of the bars.
    ended(into_the_hour + 23 * 3600 + 60)
    hours = [(hour.made, hour.failed) for hour in figures.lately().hours]
    assert hours == [(0, 0)] * 22 + [(1, 1), (1, 0)]


def test_more_than_is_looked_at_says_from_when_on(ended: Make, page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "LOOKED_AT", 2)
    for number in range(3):
        ended(number)
    assert "Of the newest 2 only, since" in page.get(FRAGMENT).content.decode()


def test_a_worker_stands_there_with_device_step_and_sign_of_life(
    own_queue_server: Redis, prompt: Make, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "device", lambda: "cuda:0 (Card), 3.1 of 80.0 GB in use")
    worker = GenerationWorker(["gpu"], name="gpu1.12.aaaa", connection=own_queue_server)
    worker.register_birth()
    worker.heartbeat()
    lease = timezone.now() + timedelta(seconds=50)
    row = prompt(status=Status.RUNNING, owner="gpu1.12.bbbb", progress=40, lease_until=lease, steps=50)
    text = " ".join(re.sub(r"<[^>]+>", " ", page.get(FRAGMENT).content.decode()).split())
    assert re.search(
        rf"gpu1\.12 #{row.pk} step 20 of 50 cuda:0 \(Card\), 3\.1 of 80\.0 GB in use [\d.]+ s ago", text
    ), text


def test_the_page_asks_fifteen_questions_at_most_however_much_there_is(prompt: Make, ended: Make, page: Client) -> None:
    ended(1)
    # It waits for so long that a worker is looked for.
    prompt(queued_at=timezone.now() - timedelta(minutes=5))
    page.get("/admin/")
    counts = []
    for rows in (1, 30):
        for number in range(rows):
            ended(number, requester=Requester.objects.get_or_create(user_id=number)[0])
            prompt(status=Status.RUNNING, owner=f"gpu{number}.1.a", lease_until=timezone.now() + timedelta(seconds=50))
        with CaptureQueriesContext(connection) as queries:
            page.get("/admin/")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 15


def test_whoever_may_not_see_prompts_sees_no_figures_of_them(staff: Callable[..., Client]) -> None:
    assert staff().get(FRAGMENT).status_code == 403
    assert "tiles" not in staff("view_style").get("/admin/").content.decode()
    assert "tiles" in staff("view_generation").get(FRAGMENT).content.decode()


def test_a_chart_says_its_numbers_to_whoever_does_not_see_it() -> None:
    svg = stacked_bars("hours", "Videos <b>", ("made", "failed"), [Bar("10:00", (3, 1), "10"), Bar("11:00", (0, 0))])
    assert '<title id="hours-title">Videos &lt;b&gt;</title><desc id="hours-desc">10:00: 3 made, 1 failed</desc>' in svg
    assert '<th scope="row">10:00</th><td>3</td><td>1</td>' in svg
    made, failed = re.findall(r'<rect class="bar-(?:made|failed)" [^>]* y="([\d.]+)"[^>]*height="([\d.]+)"', svg)
    # The failed one stands on those that were made.
    assert float(failed[0]) + float(failed[1]) == pytest.approx(float(made[0]), abs=0.2)
    assert "style=" not in svg


@pytest.mark.parametrize(("most", "top"), [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (41, 100), (1000, 1000)])
def test_the_axis_ends_at_a_round_number(most: int, top: int) -> None:
    assert ceiling(most) == top
