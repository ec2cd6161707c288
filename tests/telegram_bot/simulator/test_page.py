"""The chat page in a real browser."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, InputMediaVideo, ReplyParameters

from telegram_bot.simulator import Simulator

from .conftest import CHAT, make_bot

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PROMPT = "a red square <b>moves</b> right"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, sim: Simulator) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1000, "height": 720})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(sim.url)
    page.wait_for_selector(f"[data-testid=chat-list] [data-chat-id='{CHAT}']")
    yield page
    context.close()
    assert problems == []


def as_bot(sim: Simulator, *steps: object) -> None:
    """Run a bot's calls, given as functions of the bot, in a thread: the browser owns this one."""

    async def work() -> None:
        async with make_bot(sim) as bot:
            for step in steps:
                await step(bot)  # type: ignore[operator]

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join(20)


def screenshot(page: Page, name: str) -> None:
    """Kept only where somebody asks to look."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def send_prompt(page: Page, sim: Simulator, text: str = PROMPT) -> int:
    page.get_by_test_id("composer").fill(text)
    page.get_by_test_id("composer").press("Enter")
    page.wait_for_selector("[data-from=person]")
    return sim.messages(CHAT)[-1].id


def test_typed_prompt_becomes_a_playing_video_in_place(page: Page, sim: Simulator, clip: bytes) -> None:
    typed = send_prompt(page, sim)
    mine = page.locator(f"[data-message-id='{typed}'] .text")
    assert mine.inner_text() == PROMPT
    assert mine.locator("b").count() == 0

    as_bot(sim, lambda bot: bot.send_message(CHAT, "Queued 1 of 1", reply_parameters=ReplyParameters(typed)))
    status = sim.bot_messages(CHAT)[0].id
    row = page.locator(f"[data-message-id='{status}']")
    row.get_by_text("Queued 1 of 1").wait_for()
    assert row.locator(".reply span").inner_text() == PROMPT
    row.evaluate("row => { row.marked = true }")

    as_bot(
        sim,
        lambda bot: bot.edit_message_text("Rendering 60 %", CHAT, status),
        lambda bot: bot.send_chat_action(CHAT, "upload_video"),
    )
    row.get_by_text("Rendering 60 %").wait_for()
    page.get_by_test_id("status").get_by_text("sending a video").wait_for()
    screenshot(page, "rendering")

    again = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again")]])
    media = InputMediaVideo(clip, caption=PROMPT, width=256, height=256, duration=2)
    as_bot(sim, lambda bot: bot.edit_message_media(media, CHAT, status, reply_markup=again))
    video = row.locator("video")
    video.wait_for()
    page.wait_for_function("() => { const v = document.querySelector('video'); return v && v.currentTime > 0.2; }")
    assert video.evaluate("v => [v.muted, v.loop, v.playsInline, v.controls]") == [True, True, True, True]
    assert row.locator(".edited").inner_text() == "edited"
    assert row.evaluate("row => row.marked"), "the message was changed in place, not drawn anew"
    screenshot(page, "video")


def test_button_press_reaches_the_bot_and_its_answer_is_shown(page: Page, sim: Simulator, clip: bytes) -> None:
    again = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again")]])
    as_bot(sim, lambda bot: bot.send_video(CHAT, clip, caption="one", reply_markup=again))
    page.locator("video").evaluate("v => { v.marked = true }")
    page.get_by_role("button", name="Again").click()
    query = sim.wait_for(lambda: next(iter(sim.world.queries), None))
    as_bot(
        sim,
        lambda bot: bot.answer_callback_query(query, "On its way"),
        lambda bot: bot.edit_message_caption(CHAT, 1, caption="two"),
    )
    page.get_by_test_id("toast").get_by_text("On its way").wait_for()
    page.locator("[data-message-id='1'] .text").get_by_text("two").wait_for()
    assert page.locator("video").evaluate("v => v.marked"), "a new caption must not restart the film"


def test_deleted_message_goes_and_reply_quotes(page: Page, sim: Simulator) -> None:
    as_bot(sim, lambda bot: bot.send_message(CHAT, "first <i>x</i>"), lambda bot: bot.send_message(CHAT, "second"))
    page.locator("[data-message-id='1']").hover()
    page.locator("[data-message-id='1']").get_by_role("button", name="Reply").click()
    send_prompt(page, sim, "an answer")
    sim.wait_for(lambda: sim.messages(CHAT)[-1].reply_to == 1)
    sim.delete(CHAT, 2)
    page.locator("[data-message-id='2']").wait_for(state="detached")


def test_marks_commands_and_own_keyboards_are_drawn(page: Page, sim: Simulator) -> None:
    markup = {"keyboard": [[{"text": "Yes"}, {"text": "No"}]], "one_time_keyboard": True}
    text = '<b>bold <i>both</i></b> <code>x &lt; 1</code> <a href="https://e.org">link</a> /help'
    as_bot(sim, lambda bot: bot.send_message(CHAT, text, parse_mode="HTML", api_kwargs={"reply_markup": markup}))
    row = page.locator("[data-message-id='1'] .text")
    row.wait_for()
    assert row.inner_text() == "bold both x < 1 link /help"
    assert row.locator("strong em").inner_text() == "both"
    assert row.locator("a").get_attribute("rel") == "noopener noreferrer"
    row.get_by_role("button", name="/help").click()
    sim.wait_for(lambda: sim.messages(CHAT)[-1].text == "/help")
    page.get_by_role("button", name="Yes").click()
    sim.wait_for(lambda: sim.messages(CHAT)[-1].text == "Yes")


def test_page_fits_a_phone_and_the_dark(browser: Browser, sim: Simulator, clip: bytes) -> None:
    sim.add_user(1002, "Bo")
    sim.add_chat(1002)
    sim.say(CHAT, "a very long prompt " * 12)
    as_bot(sim, lambda bot: bot.send_video(CHAT, clip, caption="a square", reply_parameters=ReplyParameters(1)))
    with browser.new_context(viewport={"width": 360, "height": 640}, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(f"{sim.url}/#{CHAT}")
        page.locator("video").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.wait_for_function("() => document.querySelector('video').readyState > 1")
        screenshot(page, "phone")
        page.get_by_role("button", name="Back to chats").click()
        page.locator("[data-testid=chat-list] [data-chat-id='1002']").click()
        assert page.get_by_test_id("composer").is_visible()


def test_page_without_chats_makes_one(browser: Browser, sim: Simulator) -> None:
    sim.reset()
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(sim.url)
        page.get_by_test_id("new-chat").click()
        page.locator("[data-testid=chat-list] [aria-current]").wait_for()
        page.get_by_test_id("composer").fill("hello")
        page.get_by_test_id("send").click()
        page.locator("[data-from=person]").wait_for()
        sim.say(1001, "from elsewhere")
        page.get_by_text("from elsewhere").first.wait_for()


def test_page_catches_up_after_the_connection_was_lost(browser: Browser, sim: Simulator) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{sim.url}/#{CHAT}")
        page.wait_for_selector(f"[data-testid=chat-list] [data-chat-id='{CHAT}']")
        sim.refuse_connections(0.3)
        sim.say(CHAT, "said while it was away")
        page.get_by_test_id("messages").get_by_text("said while it was away").wait_for()


def test_page_that_opens_while_the_server_is_away_tries_again(browser: Browser, sim: Simulator) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.route("**/control/messages/*", lambda route: route.abort(), times=1)
        page.goto(f"{sim.url}/#{CHAT}")
        page.get_by_test_id("composer").fill("hello")
        page.get_by_test_id("send").click()
        page.get_by_test_id("messages").get_by_text("hello").wait_for()


def test_page_starts_anew_when_everything_is_forgotten(page: Page, sim: Simulator) -> None:
    send_prompt(page, sim)
    sim.reset()
    sim.say(1005, "a new world")
    page.get_by_test_id("messages").get_by_text("a new world").wait_for()
    assert page.get_by_text(PROMPT).count() == 0


def test_group_shows_who_wrote_and_keeps_its_keyboard(page: Page, sim: Simulator) -> None:
    sim.add_user(1002, "Bo")
    sim.add_chat(-1007, "supergroup", "Film club")
    sim.say(-1007, "from Bo", user_id=1002)
    sim.say(-1007, "from Ada", user_id=CHAT)
    markup = {"keyboard": [[{"text": "Vote"}]]}
    as_bot(sim, lambda bot: bot.send_message(-1007, "Choose", api_kwargs={"reply_markup": markup}))
    chats = page.get_by_test_id("chat-list")
    group, own = chats.locator("[data-chat-id='-1007']"), chats.locator(f"[data-chat-id='{CHAT}']")
    group.click()
    page.locator("[data-message-id='1'].theirs .sender").get_by_text("Bo").wait_for()
    page.locator("[data-message-id='2'].mine .sender").get_by_text("Ada").wait_for()
    own.click()
    assert page.get_by_role("button", name="Vote").count() == 0
    group.click()
    page.get_by_role("button", name="Vote").click()
    sim.wait_for(lambda: sim.messages(-1007)[-1].text == "Vote")
    # The page hears of it a moment later.
    group.locator(".preview").get_by_text("Vote", exact=True).wait_for()
