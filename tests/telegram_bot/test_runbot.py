"""The bot process: it starts only when it can run, does everything side by side, and stops in good order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from generations import tasks
from generations.machine import free_port
from generations.models import Delivery
from telegram_bot import bulletins, conditions, inbox, lease, polling, process, subscription
from telegram_bot.models import Alert, PollingLease, ReceivedUpdate
from telegram_bot.simulator import Simulator
from tests.installation import ROOT, Installation
from tests.telegram_bot.conftest import ALICE, BOB, Finish, base, change, job, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
async def bot(
    telegram: Simulator, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Any]]:
    monkeypatch.setattr(tasks, "_enqueue", lambda job_id: None)
    monkeypatch.setattr(polling, "LONG_POLL_SECONDS", 1)
    monkeypatch.setattr(process, "sweep_patiently", lambda: None)

    @asynccontextmanager
    async def running(webhook: bool = False) -> AsyncIterator[asyncio.Task[None]]:
        stop = asyncio.Event()
        task = asyncio.create_task(process.run_bot(stop, webhook))
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait([task], timeout=10)
            assert task.done()

    yield running
    await sync_to_async(connections.close_all)()


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        await asyncio.sleep(0.02)


async def test_a_prompt_becomes_a_video(telegram: Simulator, bot: Callable[[], Any], render: Finish) -> None:
    async with bot() as task:
        telegram.say(ALICE, "a red circle")
        await until(lambda: telegram.bot_messages(ALICE))
        await render()
        await until(lambda: telegram.bot_messages(ALICE)[0].video)
        telegram.say(ALICE, "/start")
        await until(lambda: len(telegram.bot_messages(ALICE)) == 2)
    await task
    assert telegram.calls("setMyCommands")[0].params["commands"][0]["command"] == "start"
    assert (await job()).delivery == Delivery.DELIVERED
    assert (await sync_to_async(PollingLease.objects.get)()).owner == "", "free for the next"


async def test_what_came_while_the_bot_was_away_is_answered(telegram: Simulator, bot: Callable[[], Any]) -> None:
    for number in range(30):
        telegram.say(6000 + number, f"cat {number}")
    async with bot():
        await until(lambda: all(telegram.bot_messages(6000 + number) for number in range(30)), 30)
    assert [row.prompt for row in await jobs()] == [f"cat {number}" for number in range(30)]
    assert all(len(telegram.bot_messages(6000 + number)) == 1 for number in range(30))


async def test_a_leftover_webhook_does_not_keep_the_updates_away(telegram: Simulator, bot: Callable[[], Any]) -> None:
    telegram.say(ALICE, "/start")
    with telegram.world.bell.changing():
        telegram.world.updates.set_webhook("http://127.0.0.1:9/hook", "", 1, False)
    async with bot():
        await until(lambda: telegram.bot_messages(ALICE))


async def test_telegram_away_at_the_start_is_waited_for(
    telegram: Simulator, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LONGEST_PAUSE", 0.05)
    telegram.refuse_connections(0.5)
    async with bot():
        telegram.say(ALICE, "/start")
        await until(lambda: telegram.bot_messages(ALICE))


async def test_a_refused_token_ends_the_start_and_is_not_shown(
    telegram: Simulator, bot: Callable[[], Any], settings: LazySettings
) -> None:
    settings.BOT_TOKEN = "1000001:SOMETHING-ELSE"
    async with bot() as task:
        with pytest.raises(
            process.CannotRun, match=r"^Telegram does not accept BOT_TOKEN\. Unfinished jobs are kept\.$"
        ):
            await asyncio.wait_for(task, 10)
    assert await health() == "token_refused"


async def test_the_bot_looks_whether_anything_is_wrong_and_tells_operators(
    telegram: Simulator, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = conditions.Finding("none", lasting=timedelta(0))
    monkeypatch.setattr(conditions, "look", lambda: {"worker": finding})
    await set_policy(operators_chat_id=ALICE)
    async with bot():
        await until(lambda: telegram.bot_messages(ALICE))
    assert [message.text for message in telegram.bot_messages(ALICE)] == ["⚠️ No worker runs."]


async def health() -> str:
    return await sync_to_async(lease.problem)()


async def test_a_token_revoked_while_running_ends_it_and_keeps_the_jobs(
    telegram: Simulator, bot: Callable[[], Any]
) -> None:
    async with bot() as task:
        telegram.say(ALICE, "a red circle")
        await until(lambda: telegram.bot_messages(ALICE))
        assert await health() == ""
        telegram.fail("getUpdates", status=401, times=-1)
        with pytest.raises(process.CannotRun, match="does not accept BOT_TOKEN"):
            await asyncio.wait_for(task, 10)
    assert not (await job()).is_finished
    assert await health() == "token_refused"
    alert = await sync_to_async(Alert.objects.get)(kind="bot")
    assert (alert.state, alert.told_at is not None) == ("token_refused", True), "not to be told before it is over"
    telegram.clear_faults()
    async with bot():
        await until(lambda: telegram.calls("getUpdates"))
        await until_health("")


async def until_health(expected: str) -> None:
    deadline = time.monotonic() + 10
    while await health() != expected:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_bot_that_cannot_reach_telegram_at_its_start_is_alive_and_says_so(
    telegram: Simulator, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(lease, "LASTING", timedelta(seconds=0.5))
    telegram.refuse_connections(4)
    async with bot():
        await until_health("telegram_unreachable")
        await until_health("")


async def test_another_program_that_takes_the_updates_shows_until_it_stops(
    telegram: Simulator, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(lease, "LASTING", timedelta(seconds=0.5))
    monkeypatch.setattr(polling, "CONFLICT_PAUSE", 0.1)
    async with bot():
        await until(lambda: telegram.calls("getUpdates"))
        telegram.fail("getUpdates", status=409, times=15)
        await until_health("conflict")
        await until_health("")


async def test_a_second_bot_says_who_is_first(
    telegram: Simulator, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.asyncio, "sleep", asyncio.sleep)
    monkeypatch.setattr(lease, "LEASE", timedelta(seconds=2))
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    async with bot():
        await until(lambda: telegram.calls("getUpdates"))
        monkeypatch.setattr(lease, "own_name", lambda: "bot second:1")
        first = f"bot {os.uname().nodename}:{os.getpid()}"
        with pytest.raises(process.CannotRun, match=f"^{first} fetches this bot's updates already"):
            await process.run_bot(asyncio.Event())


async def test_a_lease_lost_to_another_process_ends_the_first(
    telegram: Simulator, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    async with bot() as task:
        await until(lambda: telegram.calls("getUpdates"))
        await sync_to_async(PollingLease.objects.update)(owner="bot second:1")
        with pytest.raises(process.CannotRun, match="Another process has taken over"):
            await asyncio.wait_for(task, 10)


async def test_told_to_stop_it_ends_the_send_that_it_has_begun(
    telegram: Simulator, bot: Callable[[], Any], render: Finish
) -> None:
    async with bot():
        telegram.say(ALICE, "a red circle")
        await until(lambda: telegram.bot_messages(ALICE))
        telegram.hang("editMessageMedia", seconds=1.5)
        await render()
        await until(lambda: telegram.calls("editMessageMedia"))
    assert (await job()).delivery == Delivery.DELIVERED


async def test_a_send_that_a_dead_bot_had_begun_is_taken_up_at_the_start(
    telegram: Simulator, bot: Callable[[], Any], render: Finish
) -> None:
    async with bot():
        telegram.say(ALICE, "a red circle")
        await until(lambda: telegram.bot_messages(ALICE))
    row = await render()
    in_five_minutes = timezone.now() + timedelta(minutes=5)
    await change(row, delivery=Delivery.SENDING, delivery_owner="dead", delivery_lease_until=in_five_minutes)
    async with bot():
        await until(lambda: telegram.bot_messages(ALICE)[0].video)


async def test_an_error_in_one_part_is_logged_and_the_rest_goes_on(
    telegram: Simulator, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("sweep trouble")

    monkeypatch.setattr(process, "sweep_patiently", broken)
    with caplog.at_level(logging.ERROR):
        async with bot():
            await until(lambda: "The bot's sweep failed; it goes on." in caplog.text)
            telegram.say(ALICE, "/start")
            await until(lambda: telegram.bot_messages(ALICE))


# --- by webhook


@pytest.fixture
def site(live_server: Any, settings: LazySettings) -> str:
    """The real address of a real server; nobody posts there yet."""
    settings.WEBHOOK_SECRET = "the-Right_secret-0123456789"
    settings.WEBHOOK_URL = f"{live_server.url}/telegram/webhook/"
    return settings.WEBHOOK_URL


async def test_what_is_said_uninvited_is_said_by_the_running_bot_whose_name_is_known(
    telegram: Simulator, bot: Callable[[], Any]
) -> None:
    async with bot():
        await sync_to_async(bulletins.tell)("access:1", ALICE, "You have access.")
        await until(lambda: telegram.bot_messages(ALICE))
    assert [message.text for message in telegram.bot_messages(ALICE)] == ["You have access."]
    assert await sync_to_async(lease.username)() == "simulator_bot"


async def test_by_webhook_a_prompt_becomes_a_video_and_nothing_is_polled(
    telegram: Simulator, site: str, bot: Callable[[], Any], render: Finish
) -> None:
    async with bot(webhook=True):
        telegram.say(ALICE, "a red circle")
        said_at = time.monotonic()
        await until(lambda: telegram.bot_messages(ALICE))
        assert time.monotonic() - said_at < 5
        await render()
        await until(lambda: telegram.bot_messages(ALICE)[0].video)
    [call] = telegram.calls("setWebhook")
    assert call.params["allowed_updates"] == ["message", "edited_message", "callback_query", "my_chat_member"]
    assert call.params["drop_pending_updates"] == "false"
    assert telegram.calls("getUpdates") == []
    assert (await job()).delivery == Delivery.DELIVERED


async def test_what_comes_while_a_webhook_bot_is_away_is_stored_and_answered_later(
    telegram: Simulator, site: str, bot: Callable[[], Any]
) -> None:
    # Waited at Telegram since before there was a webhook.
    telegram.say(BOB, "/start")
    async with bot(webhook=True):
        await until(lambda: telegram.bot_messages(BOB))
    for number in range(5):
        telegram.say(6000 + number, f"cat {number}")
    await until(lambda: telegram.pending_updates() == 0)
    async with bot(webhook=True):
        await until(lambda: all(telegram.bot_messages(6000 + number) for number in range(5)))
    assert len(await jobs()) == 5
    # And back to polling.
    async with bot():
        telegram.say(ALICE, "/start")
        await until(lambda: telegram.bot_messages(ALICE))
        assert telegram.calls("getUpdates")


async def test_a_webhook_that_somebody_took_away_is_set_again(
    telegram: Simulator, site: str, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "WATCH_SECONDS", 0.1)
    async with bot(webhook=True):
        await until(lambda: telegram.calls("setWebhook"))
        with telegram.world.bell.changing():
            telegram.world.updates.set_webhook("http://127.0.0.1:9/hook", "", 1, False)
        telegram.say(ALICE, "/start")
        await until(lambda: telegram.bot_messages(ALICE))


async def test_the_operator_reads_once_why_telegram_cannot_deliver(
    telegram: Simulator,
    site: str,
    bot: Callable[[], Any],
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(subscription, "WATCH_SECONDS", 0.1)
    async with bot(webhook=True):
        await until(lambda: telegram.calls("setWebhook"))
        # The web process has another secret than the bot.
        settings.WEBHOOK_SECRET = "another"
        telegram.say(ALICE, "/start")
        with caplog.at_level(logging.ERROR):
            await until(lambda: "could not deliver to WEBHOOK_URL" in caplog.text)
            said = [line.getMessage() for line in caplog.records if "could not deliver" in line.getMessage()]
        words = "Wrong response from the webhook: 403 Forbidden (1 updates wait there)"
        assert said == [f"Telegram could not deliver to WEBHOOK_URL: {words}"]


async def test_a_token_revoked_under_a_webhook_ends_the_bot_too(
    telegram: Simulator, site: str, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "WATCH_SECONDS", 0.1)
    async with bot(webhook=True) as task:
        await until(lambda: telegram.calls("setWebhook"))
        assert await health() == ""
        telegram.fail("getWebhookInfo", status=401, times=-1)
        with pytest.raises(process.CannotRun, match="does not accept BOT_TOKEN"):
            await asyncio.wait_for(task, 10)
    assert await health() == "token_refused"


async def test_telegram_away_for_a_while_does_not_end_a_webhook_bot(
    telegram: Simulator, site: str, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "WATCH_SECONDS", 0.05)
    async with bot(webhook=True):
        await until(lambda: telegram.calls("setWebhook"))
        telegram.fail("getWebhookInfo", status=502, times=3)
        await until(lambda: len(telegram.calls("getWebhookInfo")) > 4)
        telegram.say(ALICE, "/start")
        await until(lambda: telegram.bot_messages(ALICE))


async def test_an_address_that_telegram_refuses_ends_the_start_with_its_reason(
    telegram: Simulator, site: str, bot: Callable[[], Any]
) -> None:
    telegram.fail("setWebhook", status=400, description="Bad Request: bad webhook: port 8001 is not allowed", times=-1)
    async with bot(webhook=True) as task:
        with pytest.raises(process.CannotRun, match=r"^Telegram does not accept WEBHOOK_URL: .*port 8001"):
            await asyncio.wait_for(task, 10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_URL", ""),
        ("WEBHOOK_URL", "http://videos.example.org/telegram/webhook/"),
        ("WEBHOOK_SECRET", ""),
        ("WEBHOOK_SECRET", "with a space"),
        ("WEBHOOK_SECRET", "x" * 257),
    ],
)
def test_a_webhook_without_what_makes_it_safe_is_one_line_that_names_it(
    settings: LazySettings, name: str, value: str
) -> None:
    settings.BOT_TOKEN = "1000001:SIMULATOR"
    settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = "https://videos.example.org/telegram/webhook/", "a-good-one"
    setattr(settings, name, value)
    with pytest.raises(CommandError, match=rf"^{name} [^\n]+\.$") as refusal:
        call_command("runbot", "--webhook")
    assert not value or value not in str(refusal.value)


# --- the command


def test_without_a_token_one_line_names_the_variable(settings: LazySettings) -> None:
    settings.BOT_TOKEN = ""
    with pytest.raises(CommandError, match=r"^BOT_TOKEN is not set\.$"):
        call_command("runbot")


@pytest.mark.slow
def test_the_real_process_survives_a_kill_stops_on_sigterm_and_keeps_the_token_to_itself(
    telegram: Simulator, installation_folder: Path
) -> None:
    with Installation(installation_folder, BOT_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url) as installation:
        installation.manage("migrate", "--verbosity", "0")
        first = start(installation)
        telegram.say(ALICE, "/start")
        telegram.wait_for(lambda: telegram.bot_messages(ALICE), 30)
        first.kill()
        first.communicate()
        for person in (ALICE, BOB):
            telegram.say(person, "a red circle")
        second = start(installation)
        telegram.wait_for(lambda: len(telegram.bot_messages(ALICE)) == 2 and telegram.bot_messages(BOB), 30)
        second.send_signal(signal.SIGTERM)
        began = time.monotonic()
        output = second.communicate(timeout=20)[0].decode()
        assert time.monotonic() - began < 10
        assert second.returncode == 0, output
        assert output.rstrip().endswith("The bot has stopped.")
        assert telegram.token not in output
        story = (
            "from generations.models import Generation as G; print(list(G.objects.values_list('status', flat=True)))"
        )
        assert installation.manage("shell", "--no-imports", "-c", story) == "['queued', 'queued']\n"


@pytest.mark.slow
def test_the_real_processes_lose_no_update_when_either_of_them_is_away(
    telegram: Simulator, installation_folder: Path
) -> None:
    port = free_port()
    secrets = {"BOT_TOKEN": telegram.token, "WEBHOOK_SECRET": "the-Right_secret-0123456789"}
    addresses = {"TELEGRAM_API_URL": telegram.url, "WEBHOOK_URL": f"http://127.0.0.1:{port}/telegram/webhook/"}
    gunicorn = [sys.executable, "-m", "gunicorn", "t2vsite.wsgi", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    with Installation(installation_folder, **secrets, **addresses) as installation:
        installation.manage("migrate", "--verbosity", "0")
        web = installation.run("web 1", gunicorn)
        bot = start(installation, "--webhook")
        telegram.say(ALICE, "/start")
        telegram.wait_for(lambda: telegram.bot_messages(ALICE), 30)
        os.kill(web, signal.SIGTERM)
        os.waitpid(web, 0)
        telegram.say(ALICE, "a red circle")
        installation.run("web 2", gunicorn)
        telegram.wait_for(lambda: len(telegram.bot_messages(ALICE)) == 2, 30)
        bot.kill()
        output = bot.communicate()[0].decode()
        telegram.say(BOB, "a red circle")
        telegram.wait_for(lambda: telegram.pending_updates() == 0, 30)
        bot = start(installation, "--webhook")
        telegram.wait_for(lambda: telegram.bot_messages(BOB), 30)
        bot.send_signal(signal.SIGTERM)
        output += bot.communicate(timeout=20)[0].decode()
        assert bot.returncode == 0, output
        for said in (output, installation.log("web 1"), installation.log("web 2")):
            assert not any(secret in said for secret in secrets.values())
    assert [len(telegram.bot_messages(person)) for person in (ALICE, BOB)] == [2, 1]


def start(installation: Installation, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "runbot", *options],
        cwd=ROOT,
        env=installation.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def test_an_answer_that_was_put_off_comes_although_the_clock_was_set_back(
    telegram: Simulator, bot: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "LEASE", timedelta(seconds=1))
    await sync_to_async(inbox.store)([base(7, text="/start")])
    await sync_to_async(ReceivedUpdate.objects.update)(lease_until=timezone.now() + timedelta(hours=2))
    async with bot():
        await until(lambda: telegram.bot_messages(ALICE))
