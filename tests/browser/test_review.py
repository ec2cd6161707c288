"""The review inbox in a real browser: by keyboard only, and by two operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from generations.engine.video import write_poster, write_video
from generations.models import Delivery, Generation, Requester, Status
from tests.browser.pages import BROWSER_TESTS, Open, fits, make, picture, violations

pytestmark = BROWSER_TESTS

INBOX = "/admin/generations/generation/review/"


def waiting(number: int, folder: Path | None = None, **changes: object) -> Generation:
    """A prompt, or with a folder a video."""
    if folder is None:
        return make(number, status=Status.PENDING_REVIEW, **changes)
    frames = np.zeros((16, 64, 64, 3), np.uint8)
    for place, frame in enumerate(frames):
        frame[24:40, 3 * place : 3 * place + 14] = (60, 110, 230)
    name = f"held-{number}"
    write_video(frames, folder / f"{name}.mp4", fps=8)
    write_poster(frames[8], folder / f"{name}.jpg")
    for end in ("mp4", "jpg"):
        default_storage.save(f"{name}.{end}", ContentFile((folder / f"{name}.{end}").read_bytes()))
    files = {"file": f"{name}.mp4", "poster": f"{name}.jpg"}
    return make(number, status=Status.SUCCEEDED, delivery=Delivery.HELD, hold_delivery=True, **files, **changes)


def focused(page: Page) -> int:
    return int(page.evaluate("Number(document.activeElement.closest('.card')?.dataset.pk ?? 0)"))


def test_an_operator_decides_everything_by_keyboard(
    open_admin: Open,
    complaints: list[str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    rows = [waiting(0), waiting(1, tmp_path), waiting(2), waiting(4)]
    page = open_admin(INBOX)
    expect(page.locator(".card")).to_have_count(4)
    assert focused(page) == rows[0].pk

    page.keyboard.press("a")
    expect(page.locator(".said")).to_have_text(f"#{rows[0].pk}: approved.")
    expect(page.locator(".card")).to_have_count(3)
    assert focused(page) == rows[1].pk
    page.wait_for_function("!document.querySelector('.card.is-current video').paused")
    picture(request, page, "admin_review")

    page.keyboard.press("j")
    assert focused(page) == rows[2].pk
    page.wait_for_function("document.querySelector('.card video').paused")
    page.keyboard.press("r")
    page.keyboard.press("2")
    assert page.locator(f".card[data-pk='{rows[2].pk}'] [name=reason]").input_value() == "No real people, please."
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_have_text(f"#{rows[2].pk}: rejected.")

    assert focused(page) == rows[3].pk
    page.keyboard.press("b")
    page.keyboard.type("Spam. All day, again")
    page.keyboard.press("Enter")
    # The video was asked for by the same person.
    expect(page.locator(".empty")).to_be_visible()

    for row in rows:
        row.refresh_from_db()
    assert [row.status for row in rows] == [Status.QUEUED, Status.REJECTED, Status.REJECTED, Status.CANCELLED]
    assert rows[2].public_error == "No real people, please."
    assert Requester.objects.get(pk=rows[3].requester_id).ban_reason == "Spam. All day, again"
    assert complaints == []


def test_a_reason_can_be_left_and_letters_in_it_are_letters(open_admin: Open) -> None:
    row = waiting(0)
    page = open_admin(INBOX)
    page.keyboard.press("r")
    page.keyboard.type("a bad jabber")
    page.keyboard.press("Escape")
    assert focused(page) == row.pk
    page.keyboard.press("Control+a")
    row.refresh_from_db()
    assert row.status == Status.PENDING_REVIEW


def test_two_operators_do_not_decide_the_same_item(open_admin: Open, chromium: Browser, live_server: Any) -> None:
    first, second = waiting(0), waiting(1)
    olga = open_admin(INBOX)
    expect(olga.locator(".card.is-current")).to_have_attribute("data-pk", str(first.pk))
    olga.wait_for_load_state("networkidle")

    client = Client()
    client.force_login(User.objects.create_superuser("paul"))
    context = chromium.new_context()
    url = live_server.url
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])
    paul = context.new_page()
    paul.goto(url + INBOX)
    assert focused(paul) == second.pk, "what nobody looks at comes first"
    paul.keyboard.press("j")
    expect(paul.locator(f".card[data-pk='{first.pk}'] .held-by")).to_have_text("olga is looking at it.")
    paul.keyboard.press("a")
    expect(paul.locator(".said")).to_have_text(f"#{first.pk}: olga is looking at it. It is still undecided.")
    olga.keyboard.press("a")
    expect(olga.locator(".said")).to_have_text(f"#{first.pk}: approved.")
    paul.keyboard.press("a")
    expect(paul.locator(".said")).to_have_text(f"#{first.pk}: already approved by olga.")
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_inbox_fits_a_phone_and_is_readable_by_everybody(
    theme: str,
    open_admin: Open,
    tmp_path: Path,
    complaints: list[str],
) -> None:
    waiting(0, prompt="w" * 300)
    waiting(1, tmp_path)
    page = open_admin(INBOX, width=390, height=844, theme=theme)
    assert fits(page)
    assert violations(page) == []
    assert complaints == []
