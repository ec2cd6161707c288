"""What a person sees in a real browser after `make run`: the chat page, and the operator's list.

`make screenshots` runs this with --screenshots, and then it replaces the pictures in docs/.
"""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.installation import ROOT, Installation, slow_demo_model

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium"),
]

PROMPT = "a yellow triangle moving right"
# Without these, Chromium looks for Google's servers at every start; as root it needs no sandbox of its own.
SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
]
# Notes every wording that a message of the bot ever has on the page.
WATCH = """
    window.seen = [];
    new MutationObserver(() => {
        for (const row of document.querySelectorAll('[data-from=bot]')) {
            const words = `${row.dataset.kind}: ${row.querySelector('.text').innerText}`;
            if (!window.seen.includes(words)) window.seen.push(words);
        }
    }).observe(document, {childList: true, subtree: true, characterData: true});
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running(Installation):
    """`manage.py up`, as `make run` starts it, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, DEBUG="1", MODEL=str(slow_demo_model(folder / "model")))
        site, chat = free_port(), free_port()
        self.site, self.chat = f"http://127.0.0.1:{site}", f"http://127.0.0.1:{chat}"
        self.ports = ("--port", str(site), "--sim-port", str(chat))

    def up(self) -> None:
        self.start("up", *self.ports)
        self.wait_until(lambda: "Everything is running" in self.log("up"), "everything is running")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One for all of them: to start everything takes longer than what they do. Its path must be short."""
    with tempfile.TemporaryDirectory(prefix="t2v-", ignore_cleanup_errors=True) as folder, Running(Path(folder)) as up:
        up.up()
        yield up


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


def send(page: Page, words: str) -> None:
    page.get_by_test_id("composer").fill(words)
    page.get_by_test_id("send").click()


def open_page(browser: Browser, complaints: list[str], width: int, height: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda entry: complaints.append(f"{entry.text} {entry.location}") if entry.type == "error" else None
    )
    return page


def test_a_typed_prompt_turns_into_a_playing_video(
    running: Running, browser: Browser, request: pytest.FixtureRequest
) -> None:
    pictures = request.config.getoption("--screenshots")
    complaints: list[str] = []

    # A person opens the chat page and types.
    page = open_page(browser, complaints, 960, 960)
    page.add_init_script(WATCH)
    page.goto(running.chat)
    page.evaluate("window.sameDocument = true")
    send(page, "/start")
    expect(page.locator("[data-from=bot]")).to_have_count(1)
    send(page, PROMPT)

    # The answer changes in place, without a reload, and ends as a film that plays.
    film = page.locator("[data-from=bot] video")
    film.wait_for(timeout=180_000)
    film.evaluate("film => film.play()")
    page.wait_for_function("() => document.querySelector('[data-from=bot] video').currentTime > 0.2", timeout=20_000)
    assert film.evaluate("film => film.readyState") >= 2
    assert film.evaluate("film => [film.videoWidth, film.videoHeight]") == [256, 256]
    assert page.evaluate("window.sameDocument")
    seen = [words.lower() for words in page.evaluate("window.seen")]
    order = [next((i for i, words in enumerate(seen) if re.match(state, words)), None) for state in STATES]
    # A worker that is quicker than the bot's first message leaves out "queued".
    passed = [place for place in order if place is not None]
    assert None not in order[1:], seen
    assert passed == sorted(passed)
    expect(page.locator("[data-from=bot]")).to_have_count(2)

    if pictures:
        # One film that is done, one that is being made.
        send(page, "a blue square growing")
        expect(page.locator("[data-from=bot]").last).to_contain_text("Rendering", timeout=60_000)
        page.wait_for_timeout(500)
        page.screenshot(path=ROOT / "docs" / "chat.png")
        expect(page.locator("[data-from=bot] video")).to_have_count(2, timeout=180_000)
        send(page, "a red circle bouncing")
        expect(page.locator("[data-from=bot] video")).to_have_count(3, timeout=180_000)

    # An operator makes an account, logs in, and finds the prompt in the list.
    password = secrets.token_urlsafe(12)
    running.manage(
        *("createsuperuser", "--noinput", "--username", "operator", "--email", "operator@example.org"),
        DJANGO_SUPERUSER_PASSWORD=password,
    )
    admin = open_page(browser, complaints, 1280, 720)
    admin.goto(f"{running.site}/admin/generations/generation/")
    admin.get_by_label("Username").fill("operator")
    admin.get_by_label("Password").fill(password)
    admin.get_by_role("button", name="Log in").click()
    row = admin.locator("#result_list tbody tr").filter(has_text=PROMPT)
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Succeeded")
    if pictures:
        admin.screenshot(path=ROOT / "docs" / "admin.png")
    assert complaints == []


STATES = ["text: .*queue", "text: .*render", "video: "]


def test_buttons_settings_and_history_work_in_place(
    running: Running, browser: Browser, request: pytest.FixtureRequest
) -> None:
    pictures = request.config.getoption("--screenshots")
    complaints: list[str] = []
    page = open_page(browser, complaints, 960, 960)
    page.goto(running.chat)
    answers, toast = page.locator("[data-from=bot]"), page.get_by_test_id("toast")
    films = answers.filter(has=page.locator("video"))
    page.locator("#title", has_text="bot").wait_for()
    page.wait_for_timeout(500)
    if not films.count():
        send(page, PROMPT)
    expect(films).not_to_have_count(0, timeout=180_000)
    films_before, answers_before = films.count(), answers.count()

    # Again: a toast, and a status message of its own, which its button cancels in place.
    films.last.get_by_role("button", name="Again").click()
    expect(toast).to_have_text("It is in the queue.")
    expect(answers).to_have_count(answers_before + 1, timeout=30_000)
    again = answers.last
    again.get_by_role("button", name="Cancel").click()
    expect(again.locator(".text")).to_have_text("This video was cancelled.", timeout=60_000)
    expect(again.get_by_role("button", name="Cancel")).to_have_count(0)

    # The settings: one message, whose buttons and words follow what is pressed.
    send(page, "/settings")
    menu = answers.filter(has_text="Your settings.").last
    menu.get_by_role("button", name="fast").click()
    expect(menu.get_by_role("button", name="✓ fast")).to_be_focused(timeout=30_000)
    expect(menu.locator(".text")).to_contain_text("Preset: fast")
    expect(toast).to_have_text("Saved.")
    if pictures:
        page.wait_for_timeout(4_500)
        page.screenshot(path=ROOT / "docs" / "chat_settings.png")
    menu.get_by_role("button", name="All as default").click()
    expect(menu.locator(".text")).to_contain_text("Preset: exact (default)", timeout=30_000)
    expect(answers).to_have_count(answers_before + 2)

    # The history: a pressed title brings the clip again, and nothing is rendered for it.
    send(page, "/history")
    listed = answers.filter(has_text="Your videos, page 1 of 1").last
    listed.get_by_role("button", name=PROMPT[:20]).first.click()
    expect(films).to_have_count(films_before + 1, timeout=30_000)
    expect(answers).to_have_count(answers_before + 4)
    film = films.last.locator("video")
    page.wait_for_function("film => film.currentTime > 0.1", arg=film.element_handle(), timeout=20_000)
    if pictures:
        page.wait_for_timeout(500)
        page.screenshot(path=ROOT / "docs" / "chat_history.png")
    assert complaints == []
