"""The operators' pages in a real browser: what refreshes itself, both themes, a phone, the keyboard, and no complaint.

`make screenshots` runs this with --screenshots, and then it replaces the pictures in docs/.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.conf import LazySettings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from playwright.sync_api import expect
from redis import Redis

from generations import rendering
from generations.engine.video import write_video
from generations.models import Delivery, Generation, Status
from generations.worker import GenerationWorker
from telegram_bot.models import PollingLease
from tests.browser.pages import BROWSER_TESTS, Open, ended, fits, make, picture, violations, with_poster
from tests.valkey import own_valkey

pytestmark = BROWSER_TESTS

GENERATIONS = "/admin/generations/generation/"


def test_the_page_of_a_job_follows_it_without_a_reload(
    open_admin: Open, complaints: list[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    row = make()
    row.record("queued", actor="requester")
    page = open_admin(f"{GENERATIONS}{row.pk}/change/")
    page.evaluate("window.sameDocument = true")
    expect(page.locator(".account .pill").first).to_have_text("Queued")
    page.get_by_role("button", name="Cancel").focus()

    row.start("gpu-1.12.abcd")
    row.report_progress("gpu-1.12.abcd", 40)
    expect(page.locator(".progress")).to_contain_text("step 20 of 50")
    expect(page.locator(".timeline")).to_contain_text("started by gpu-1.12.abcd")
    # The keyboard is where it was.
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    picture(request, page, "admin_job")

    frames = np.zeros((16, 64, 64, 3), np.uint8)
    clip = write_video(frames, tmp_path / "clip.mp4", fps=8).path
    default_storage.save("clip.mp4", ContentFile(clip.read_bytes()))
    row.succeed("gpu-1.12.abcd", file="clip.mp4", poster="", sha256="0" * 64, seconds=12.0)
    film = page.locator("video")
    expect(film).to_have_count(1)
    # Seeking needs byte ranges.
    film.evaluate("film => new Promise(done => { film.onseeked = done; film.currentTime = 1; })")
    assert film.evaluate("film => film.seekable.end(0)") > 1

    # A film that plays stays the same element when the rest of the page changes.
    film.evaluate("film => { window.film = film; }")
    Generation.objects.filter(pk=row.pk).update(delivery=Delivery.DELIVERED)
    expect(page.locator(".account .pill").nth(1)).to_have_text("Delivered")
    assert film.evaluate("film => film === window.film")
    expect(page.locator("[data-live]")).to_have_count(0)
    assert page.evaluate("window.sameDocument")
    assert complaints == []


@pytest.fixture
def at_work(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A queue server with two workers, and a bot: nothing is wrong."""
    monkeypatch.setattr(rendering, "device", lambda: "cuda:0 (NVIDIA L4), 9.2 of 23.6 GB in use")
    PollingLease.objects.create(bot_id="1", owner="bot", lease_until=timezone.now() + timedelta(seconds=20))
    with own_valkey() as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.port}/0"
        with Redis.from_url(settings.REDIS_URL) as client:
            for name in ("gpu-1.12.abcd", "gpu-2.31.abcd"):
                worker = GenerationWorker(["gpu"], name=name, connection=client)
                worker.register_birth()
                worker.heartbeat()
            yield


def test_the_first_page_refreshes_itself_and_rests_while_it_is_hidden(
    open_admin: Open, complaints: list[str], request: pytest.FixtureRequest, at_work: None
) -> None:
    for number in range(40):
        ended(number, failed=number % 9 == 4)
    lease = timezone.now() + timedelta(seconds=60)
    make(1, status=Status.RUNNING, owner="gpu-1.12.abcd", progress=40, lease_until=lease)
    page = open_admin("/admin/")
    page.evaluate("document.querySelector('[data-live]').dataset.same = '1'")
    waiting = page.locator(".tiles dd").first
    expect(waiting).to_have_text("0")
    picture(request, page, "admin_dashboard")
    page.get_by_text("As a table").click()
    make(2)
    expect(waiting).to_have_text("1", timeout=15_000)
    # The table stays open, and the page is the same.
    expect(page.get_by_role("table", name="Videos per hour, the last 24 hours")).to_be_visible()
    expect(page.locator("[data-same]")).to_have_count(1)

    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    make(3)
    page.wait_for_timeout(300)
    assert asked == []
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(waiting).to_have_text("2")
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_fits_a_phone_and_is_readable_by_everybody(
    open_admin: Open, complaints: list[str], request: pytest.FixtureRequest, tmp_path: Path, theme: str
) -> None:
    rows = [ended(number, failed=number == 1) for number in range(6)]
    for row in rows:
        with_poster(row, tmp_path)
    held = make(4, status=Status.PENDING_REVIEW, parent=rows[0])
    failed = rows[1]
    Generation.objects.filter(pk=failed.pk).update(traceback="Traceback (most recent call last):\n  boom")
    held.record("held", actor="requester")
    page = open_admin("/admin/", width=390, height=844, theme=theme)
    looked_at = ["/admin/", GENERATIONS, f"{GENERATIONS}{held.pk}/change/", f"{GENERATIONS}{failed.pk}/change/"]
    forms_and_lists = [
        *(f"{GENERATIONS}{held.pk}/reject/", f"{GENERATIONS}{held.pk}/rerun/"),
        *("/admin/generations/requester/", f"/admin/generations/requester/{held.requester_id}/change/"),
        *("/admin/generations/policy/", "/admin/generations/style/", "/admin/telegram_bot/receivedupdate/"),
        *("/admin/generations/policy/versions/", "/admin/generations/policy/import/", "/admin/generations/rule/try/"),
        *("/admin/generations/tier/", "/admin/generations/tier/add/", "/admin/telegram_bot/broadcast/"),
        f"/admin/generations/requester/{held.requester_id}/grant/",
        f"/admin/telegram_bot/broadcast/to/{held.requester_id}/",
        *("/admin/generations/auditentry/", "/admin/generations/group/", "/admin/telegram_bot/invitation/"),
    ]
    base = page.url.removesuffix("/admin/")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (theme == "dark")
    wrong = []
    # Their colours are those of the first four.
    for address in looked_at + (forms_and_lists if theme == "light" else []):
        if page.url != base + address:
            page.goto(base + address)
        wrong += [] if fits(page) else [f"{address} is wider than the phone"]
        # axe itself does what the policy forbids.
        wrong += [*complaints, *(f"{address} {rule}" for rule in violations(page))]
        complaints.clear()
        if theme == "dark" and address == GENERATIONS:
            picture(request, page, "admin_phone")
    assert wrong == [], "\n".join(wrong)
