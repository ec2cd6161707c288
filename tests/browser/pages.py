"""What the tests of the operators' pages share: rows to show, and what is wanted of every page."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from playwright.sync_api import Page

from generations.engine.video import write_poster
from generations.models import Delivery, Generation, Requester, Status
from tests.browser.test_chat_page import CHROMIUM
from tests.installation import ROOT

BROWSER_TESTS = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium"),
]
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
WORDS = ["a red circle moving right", "a blue square growing", "a yellow triangle bouncing", "two boats on a lake"]

Open = Callable[..., Page]


def make(number: int = 0, **changes: Any) -> Generation:
    person = Requester.objects.get_or_create(user_id=4711 + number % 3, defaults={"display_name": "Petra Paulsen"})[0]
    values: dict[str, Any] = {
        **{"request_key": secrets.token_hex(8), "requester": person, "prompt": WORDS[number % len(WORDS)], "seed": 7},
        **{"frames": 16, "width": 256, "height": 256, "fps": 8, "steps": 50, "guidance_scale": 9.0, "chat_id": 4711},
    }
    return Generation.objects.create(**values | changes)


def ended(number: int, *, failed: bool = False) -> Generation:
    at = timezone.now() - timedelta(minutes=23 * number + 1)
    row = make(number, status=Status.FAILED if failed else Status.SUCCEEDED, delivery=Delivery.DELIVERED)
    facts: dict[str, Any] = {
        "created_at": at - timedelta(seconds=40 + number),
        "started_at": at - timedelta(seconds=31),
    }
    facts |= {"finished_at": at, "render_seconds": 30 + number % 7, "host": "gpu-1"}
    facts |= {"public_error": "There was not enough memory for this size."} if failed else {}
    Generation.objects.filter(pk=row.pk).update(**facts)
    return row


def with_poster(row: Generation, folder: Path) -> None:
    """A square, in another colour for each."""
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[16:48, 16:48] = [(220, 60, 50), (60, 110, 230), (235, 200, 60)][row.pk % 3]
    name = f"{row.pk}.jpg"
    default_storage.save(name, ContentFile(write_poster(frame, folder / name).read_bytes()))
    Generation.objects.filter(pk=row.pk).update(poster=name)


def picture(request: pytest.FixtureRequest, page: Page, name: str) -> None:
    if request.config.getoption("--screenshots"):
        page.screenshot(path=ROOT / "docs" / f"{name}.png")


def fits(page: Page) -> bool:
    """Nothing has to be scrolled to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def violations(page: Page) -> list[str]:
    """What axe-core finds serious or worse."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa']})")[
        "violations"
    ]
    serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    return [json.dumps([rule["id"], [node["html"][:160] for node in rule["nodes"]][:4]]) for rule in serious]
