"""Polling, webhooks and the order of updates."""

from __future__ import annotations

import asyncio
import time

import pytest
from telegram import Bot, Update
from telegram.error import BadRequest, Conflict
from telegram.ext import ApplicationBuilder, CommandHandler, ContextTypes, MessageHandler, filters

from telegram_bot.simulator import Simulator

from .conftest import CHAT, make_bot


async def test_updates_stay_until_a_higher_offset_confirms_them(bot: Bot, sim: Simulator) -> None:
    for number in range(5):
        sim.say(CHAT, str(number))
    first = await bot.get_updates(limit=2)
    assert [update.message.text for update in first if update.message] == ["0", "1"]
    assert await bot.get_updates(limit=2) == first
    rest = await bot.get_updates(offset=first[-1].update_id + 1)
    assert [update.message.text for update in rest if update.message] == ["2", "3", "4"]
    assert len(await bot.get_updates(offset=-1)) == 1
    assert sim.pending_updates() == 1


async def test_long_poll_ends_as_soon_as_something_is_typed(bot: Bot, sim: Simulator) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=10))
    await asyncio.sleep(0.1)
    assert not poll.done()
    typed = time.monotonic()
    sim.say(CHAT, "now")
    assert len(await poll) == 1
    assert time.monotonic() - typed < 5


async def test_empty_poll_takes_its_time(bot: Bot) -> None:
    started = time.monotonic()
    assert await bot.get_updates(timeout=1) == ()
    assert 0.9 < time.monotonic() - started < 5


async def test_second_poller_ends_the_first_with_409(bot: Bot, sim: Simulator) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=10))
    await asyncio.sleep(0.1)
    async with make_bot(sim) as other:
        second = asyncio.create_task(other.get_updates(timeout=10))
        with pytest.raises(Conflict, match="terminated by other getUpdates"):
            await first
        sim.say(CHAT, "for the winner")
        assert len(await second) == 1


async def test_only_wanted_kinds_of_updates_are_queued(bot: Bot, sim: Simulator) -> None:
    await bot.get_updates(allowed_updates=["callback_query"])
    sim.say(CHAT, "unwanted")
    assert await bot.get_updates() == ()
    await bot.get_updates(allowed_updates=[])
    sim.say(CHAT, "wanted again")
    assert len(await bot.get_updates()) == 1


async def test_old_update_is_sent_again_past_the_offset_once(bot: Bot, sim: Simulator) -> None:
    update = sim.say(CHAT, "once")
    await bot.get_updates(offset=update["update_id"] + 1)
    sim.inject(update)
    (again,) = await bot.get_updates(offset=update["update_id"] + 1)
    assert again.update_id == update["update_id"]
    assert await bot.get_updates(offset=update["update_id"] + 1) == ()


async def test_odd_update_travels_exactly_as_given(bot: Bot, sim: Simulator) -> None:
    sim.inject({"update_id": 500, "future_thing": {"text": "half \ud83d \x00", "id": 2**63}})
    (update,) = await bot.get_updates()
    assert update.update_id == 500
    assert update.api_kwargs["future_thing"]["text"] == "half \ud83d \x00"


async def receive_posts(posts: list[tuple[str, str]], statuses: list[int]) -> tuple[asyncio.Server, str]:
    """A bare web server that notes each post's secret and body and answers with the next status."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.lower().strip().split("\r\n")[1:])
        body = await reader.readexactly(int(headers["content-length"]))
        posts.append((headers.get("x-telegram-bot-api-secret-token", ""), body.decode()))
        status = statuses.pop(0) if statuses else 200
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


async def test_webhook_gets_every_update_in_order_with_the_secret(bot: Bot, sim: Simulator) -> None:
    posts: list[tuple[str, str]] = []
    server, url = await receive_posts(posts, [500])
    async with server:
        await bot.set_webhook(url, secret_token="knock-knock", max_connections=1)
        with pytest.raises(Conflict, match="webhook is active"):
            await bot.get_updates()
        for number in range(3):
            sim.say(CHAT, f"prompt {number}")
        await sim.until(lambda: sim.pending_updates() == 0)
        info = await bot.get_webhook_info()
    assert (info.url, info.pending_update_count) == (url, 0)
    assert info.last_error_message == "Wrong response from the webhook: 500 X"
    assert {secret for secret, _ in posts} == {"knock-knock"}
    # The first was answered with 500, so it came twice.
    assert [body.split("prompt ")[1][0] for _, body in posts] == ["0", "0", "1", "2"]
    await bot.delete_webhook()
    assert (await bot.get_webhook_info()).url == ""
    assert await bot.get_updates() == ()


async def test_unreachable_webhook_keeps_updates_and_says_why(bot: Bot, sim: Simulator) -> None:
    await bot.set_webhook("http://127.0.0.1:9/hook")
    sim.say(CHAT, "kept")
    await sim.until(lambda: sim.world.updates.webhook.last_error_message)
    assert (await bot.get_webhook_info()).pending_update_count == 1
    await bot.delete_webhook(drop_pending_updates=True)
    assert sim.pending_updates() == 0


@pytest.mark.parametrize(
    "url", ["https://example.org/hook", "ftp://127.0.0.1/", "http://127.0.0.1.example.org/", "http://["]
)
async def test_webhook_elsewhere_is_refused(bot: Bot, url: str) -> None:
    with pytest.raises(BadRequest, match="Bad webhook"):
        await bot.set_webhook(url)


async def test_webhook_secret_has_a_plain_alphabet(bot: Bot) -> None:
    with pytest.raises(BadRequest, match="unallowed characters"):
        await bot.set_webhook("http://127.0.0.1:9/", secret_token="not allowed")


async def test_whole_application_polls_and_echoes(sim: Simulator) -> None:
    async def start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        await update.message.reply_text("Hello", do_quote=True)

    async def echo(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        await update.message.reply_text(f"You said: {update.message.text}")

    application = ApplicationBuilder().bot(make_bot(sim)).build()
    application.add_handler(CommandHandler("start", start))
    application.add_handler(MessageHandler(filters.TEXT & ~filters.COMMAND, echo))
    async with application:
        assert application.updater is not None
        await application.updater.start_polling(timeout=5)
        await application.start()
        sim.say(CHAT, "/start")
        await sim.until(lambda: len(sim.bot_messages(CHAT)) == 1)
        for number in range(10):
            sim.say(CHAT, f"line {number}")
        await sim.until(lambda: len(sim.bot_messages(CHAT)) == 11)
        await application.updater.stop()
        await application.stop()
    texts = [message.text for message in sim.bot_messages(CHAT)]
    assert texts == ["Hello", *(f"You said: line {number}" for number in range(10))]
    assert sim.bot_messages(CHAT)[0].reply_to == 1
    assert sim.pending_updates() == 0
