"""What operators do in a real browser, and what comes of it elsewhere: for a worker, for a person in the chat."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.db import connection, connections
from playwright.sync_api import expect

from generations import rendering, services, tasks
from generations.engine.card import ModelCard
from generations.models import Delivery, Generation, Requester, Status
from telegram_bot import broadcasts, polling
from telegram_bot.models import Broadcast
from telegram_bot.simulator import Simulator
from tests.browser.pages import BROWSER_TESTS, Open, fits, make, violations
from tests.generations.conftest import StandInEngine, wait_until
from tests.telegram_bot.conftest import ALICE, House

pytestmark = BROWSER_TESTS

GENERATIONS, PEOPLE = "/admin/generations/generation/", "/admin/generations/requester/"


@pytest.fixture(autouse=True)
def silent_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_enqueue", lambda job_id: None)


@pytest.fixture
def telegram(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    monkeypatch.setattr(polling, "LONG_POLL_SECONDS", 0)
    with Simulator() as server:
        server.add_user(ALICE, "Alice")
        server.add_chat(ALICE)
        settings.BOT_TOKEN, settings.TELEGRAM_API_URL = server.token, server.url
        yield server


def say(telegram: Simulator, *messages: str) -> list[str]:
    """A person types, a bot that has just begun handles it; what it has written in that chat so far."""

    async def talk() -> None:
        house = House(telegram)
        async with house.application:
            for text in messages:
                await house.say(text)
            await house.notify()
            await house.consumer.speaker.finish(1)
        await sync_to_async(connections.close_all)()

    # Playwright has a loop in this thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, talk()).result()
    return [message.text for message in telegram.bot_messages(ALICE)]


def test_a_rerun_with_changes_stands_below_its_parent_in_the_lineage(
    open_admin: Open, complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the real model's size, as the row is.
    monkeypatch.setattr(services, "model_card", ModelCard)
    row = make(status=Status.SUCCEEDED, delivery=Delivery.DELIVERED)
    page = open_admin(f"{GENERATIONS}{row.pk}/change/")
    page.get_by_role("link", name="Re-run, changed…").click()
    page.get_by_label("Prompt:", exact=True).fill("a green circle moving left")
    page.get_by_label("Seed:").fill("11")
    page.get_by_label("Preset:").select_option("fast")
    page.get_by_role("button", name="Queue it").click()
    expect(page.locator(".messagelist")).to_contain_text("Queued as")
    new = Generation.objects.get(parent=row)
    assert page.url.endswith(f"{GENERATIONS}{new.pk}/change/")
    lineage = page.locator(".lineage li")
    expect(lineage).to_have_count(2)
    expect(lineage.nth(0)).to_contain_text(f"#{row.pk} succeeded, seed 7")
    expect(lineage.nth(1)).to_contain_text(f"#{new.pk}, this one")
    expect(lineage.nth(1)).to_contain_text("seed 11, a green circle moving left")
    assert (new.prompt, new.seed, new.preset, new.chat_id) == ("a green circle moving left", 11, "fast", row.chat_id)
    # What was is as it was.
    row.refresh_from_db()
    assert (row.prompt, row.seed, row.status) == ("a red circle moving right", 7, Status.SUCCEEDED)
    lineage.nth(0).get_by_role("link").click()
    expect(page.locator(".lineage li").nth(0)).to_contain_text(f"#{row.pk}, this one")
    assert complaints == []


def test_a_ban_leaves_nothing_of_five_that_wait_and_one_that_runs_after_two_steps(
    open_admin: Open, complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, steps = StandInEngine(), list[float]()
    monkeypatch.setattr(rendering, "load_engine", lambda *_: engine)
    rendering.engine.cache_clear()
    rendering.shutdown_due.clear()
    rows = [make(0, frames=4, width=64, height=64, steps=1000) for _ in range(6)]

    def step(done: int) -> None:
        steps.append(time.monotonic())
        # So long that a page can be answered meanwhile.
        time.sleep(0.1)

    engine.before_step = step

    def work() -> None:
        try:
            rendering.render_next()
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        person = rows[0].requester
        page = open_admin(f"{PEOPLE}{person.pk}/change/")
        wait_until(lambda: len(steps) >= 3)
        assert Generation.objects.filter(status=Status.RUNNING).count() == 1
        page.get_by_role("link", name="Ban…").click()
        page.get_by_label("Reason").fill("Spam.")
        page.get_by_role("button", name="Ban").click()
        expect(page.locator(".messagelist")).to_contain_text("Prompts stopped: 6.")
        answered = time.monotonic()
        worker.join(10)
        assert not worker.is_alive()
    finally:
        engine.before_step = lambda done: None
        worker.join(30)
        rendering.engine.cache_clear()
    # One that had begun when the ban came, and one more.
    assert sum(at > answered for at in steps) <= 2
    assert Generation.objects.unfinished().count() == 0
    assert set(Generation.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    expect(page.locator(".field-standing")).to_contain_text("Banned")
    assert complaints == []


def test_a_bulk_approval_over_mixed_states_approves_what_waits_and_names_the_rest(
    open_admin: Open, complaints: list[str]
) -> None:
    held = [make(number, status=Status.PENDING_REVIEW) for number in range(2)]
    video = make(2, status=Status.SUCCEEDED, delivery=Delivery.HELD, hold_delivery=True)
    done = make(0, status=Status.SUCCEEDED, delivery=Delivery.DELIVERED)
    queued = make(1)
    page = open_admin(GENERATIONS)
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("approve_selected")
    page.get_by_role("button", name="Go").click()
    said = page.locator(".messagelist")
    expect(said).to_contain_text("Approved: 3.")
    expect(said).to_contain_text(f"#{done.pk}: waits for no review (succeeded)")
    expect(said).to_contain_text(f"#{queued.pk}: waits for no review (queued)")
    for row in (*held, video, done, queued):
        row.refresh_from_db()
    assert [row.status for row in held] == [Status.QUEUED, Status.QUEUED]
    assert (video.delivery, done.delivery, queued.status) == (Delivery.WAITING, Delivery.DELIVERED, Status.QUEUED)
    assert complaints == []


def test_an_edit_of_the_policy_binds_the_next_message_in_the_chat(
    open_admin: Open, complaints: list[str], telegram: Simulator
) -> None:
    assert say(telegram, "/start", "a red circle")[0].startswith("Hello! I make short videos from text.")
    page = open_admin("/admin/generations/policy/")
    page.get_by_label("Greeting").fill("Welcome to the film club!")
    page.get_by_label("Daily limit:", exact=True).fill("1")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("was changed successfully")
    words = say(telegram, "/start", "a blue square")
    assert any(text.startswith("Welcome to the film club!") for text in words)
    assert words[-1].startswith("You have used your 1 video of today: 0 of 1 left.")
    assert Generation.objects.count() == 1
    assert complaints == []


def test_an_announcement_is_previewed_sent_and_followed_without_a_reload(
    open_admin: Open, complaints: list[str], telegram: Simulator
) -> None:
    say(telegram, "a red circle")
    page = open_admin("/admin/telegram_bot/broadcast/add/", width=390, height=844)
    page.get_by_label("Text").fill("New model tonight!")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".preview")).to_have_text(
        "New model tonight!You want no announcements? Say so under /settings."
    )
    assert fits(page)
    found = violations(page)
    # axe itself does what the policy forbids.
    complaints.clear()
    assert found == []
    page.get_by_role("button", name="Send to 1 people").click()
    expect(page.locator(".messagelist")).to_contain_text("It goes to 1 people.")
    page.evaluate("window.sameDocument = true")
    broadcasts.look()
    assert say(telegram)[-1].startswith("New model tonight!")
    broadcasts.look()
    expect(page.locator("[data-part=progress]")).to_contain_text("Sent")
    expect(page.locator("[data-part=progress] dd").nth(2)).to_have_text("1")
    assert page.evaluate("window.sameDocument")
    assert Broadcast.objects.get().reached == 1
    assert Requester.objects.get(user_id=ALICE).no_news is False
    assert complaints == []
