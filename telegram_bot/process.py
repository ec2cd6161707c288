"""The bot process: fetch, handle, deliver and sweep side by side until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from telegram.error import TelegramError

from generations import asked
from generations.sweep import sweep_patiently

from . import alerts, application, broadcasts, bulletins, inbox, lease, menus, review_requests
from .consumer import App, Consumer
from .delivery import Courier, rows
from .errors import Next, sort
from .polling import LONGEST_PAUSE, UNREACHABLE, Complaints, TokenRefused, poll
from .subscription import AddressRefused, subscribe, watch

logger = logging.getLogger(__name__)

HANDLE_SECONDS = 0.5
DELIVER_SECONDS = 1.0
BULLETIN_SECONDS = 1.0
SWEEP_SECONDS = 15.0
FORGET_SECONDS = 3600.0
# After a failure that is not Telegram's, most likely the database's.
PAUSE_AFTER_ERROR = 5.0
# What has begun when the process is told to stop may take this long to end.
GRACE_SECONDS = 8.0


class CannotRun(Exception):
    """The message says why, for the operator."""


async def run_bot(stop: asyncio.Event, webhook: bool = False) -> None:
    """Run until `stop` is set, with updates from polling or from the webhook's address. Raises CannotRun."""
    owner = lease.own_name()
    bot_id = settings.BOT_TOKEN.partition(":")[0]
    bot = application.build()
    complaints = Complaints()
    refused = None

    def hold() -> Coroutine[Any, Any, None]:
        return keep_lease(stop, bot_id, owner, complaints)

    try:
        if await unless(stop, take_lease(bot_id, owner)) and await unless(
            stop, beside(hold(), connect(bot, webhook, complaints))
        ):
            await work(bot, owner, stop, webhook, hold, complaints)
    except TokenRefused:
        refused = lease.TOKEN_REFUSED
        with suppress(DatabaseError):
            await sync_to_async(alerts.token_refused)()
        raise CannotRun("Telegram does not accept BOT_TOKEN. Unfinished jobs are kept.") from None
    except AddressRefused as error:
        raise CannotRun(f"Telegram does not accept WEBHOOK_URL: {error}") from None
    finally:
        await bot.shutdown()
        # The application closes nothing when its start had failed half-way.
        await bot.bot.shutdown()
        await sync_to_async(lease.release)(bot_id, owner, refused)


async def unless(stop: asyncio.Event, coroutine: Coroutine[Any, Any, None]) -> bool:
    """Run it to its end, or until stop is set. Returns whether it came to its end."""
    task, stopped = asyncio.create_task(coroutine), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        return task.done()
    finally:
        task.cancel()
        stopped.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


async def take_lease(bot_id: str, owner: str) -> None:
    """Wait as long as a killed predecessor may hold it; longer means that it lives."""
    for attempt in range(int(lease.LEASE.total_seconds()) + 2):
        holder = await sync_to_async(lease.take)(bot_id, owner)
        if not holder:
            return
        if attempt == 0:
            logger.warning("%s fetches this bot's updates, or was killed just now. Waiting.", holder)
        await asyncio.sleep(1)
    raise CannotRun(f"{holder} fetches this bot's updates already. Only one process per bot can.")


async def keep_lease(stop: asyncio.Event, bot_id: str, owner: str, complaints: Complaints) -> None:
    """Renew it until stop is set. Raises CannotRun when it is somebody else's."""

    async def renew() -> None:
        if not await sync_to_async(lease.renew)(bot_id, owner, complaints.problem):
            raise CannotRun("Another process has taken over fetching this bot's updates.")

    await keep_going(stop, "lease", renew, lease.RENEW_SECONDS)


async def beside(background: Coroutine[Any, Any, None], coroutine: Coroutine[Any, Any, None]) -> None:
    """Run the second to its end, and the first as long as that takes."""
    task = asyncio.create_task(background)
    try:
        await coroutine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def work(
    bot: App,
    owner: str,
    stop: asyncio.Event,
    webhook: bool,
    hold: Callable[[], Coroutine[Any, Any, None]],
    complaints: Complaints,
) -> None:
    """All parts side by side. When one of them cannot go on, or stop is set, all finish what they have begun."""
    consumer, courier = Consumer(bot, owner), Courier(bot.bot, owner)
    speaker, herald = consumer.speaker, bulletins.Herald(bot.bot)
    # With the lease ours, whoever held these is dead.
    await sync_to_async(inbox.release_all)()
    await sync_to_async(rows.release_all)(owner)
    await sync_to_async(bulletins.close_unknown)()
    await sync_to_async(lease.introduce)(str(bot.bot.id), bot.bot.username)
    problems: list[Exception] = []

    async def put_right() -> None:
        await sync_to_async(inbox.shorten_waits)()
        await sync_to_async(rows.shorten_waits)()
        if result := await sync_to_async(sweep_patiently)():
            logger.info("Sweep: %s", result)

    async def part(coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            await coroutine
        except (CannotRun, TokenRefused) as error:
            problems.append(error)
        finally:
            stop.set()
            for wake in (consumer.wake, speaker.wake, courier.wake, herald.wake):
                wake.set()

    async def offer_menus() -> None:
        try:
            await unless(stop, menus.offer(bot.bot))
        except Exception:
            logger.exception("The menus of commands were not set; the bot goes on.")

    logger.info("The bot @%s is running.", bot.bot.username)
    await asyncio.gather(
        # With a webhook the web process stores them; the consumer looks often enough.
        part(unless(stop, watch(bot.bot, complaints) if webhook else poll(bot.bot, consumer.wake.set, complaints))),
        part(keep_going(stop, "handling", consumer.tick, HANDLE_SECONDS, consumer.wake)),
        part(keep_going(stop, "answering", speaker.tick, HANDLE_SECONDS, speaker.wake)),
        part(keep_going(stop, "delivery", courier.tick, DELIVER_SECONDS, courier.wake)),
        part(keep_going(stop, "bulletins", herald.tick, BULLETIN_SECONDS, herald.wake)),
        part(unless(stop, keep_going(stop, "sweep", put_right, SWEEP_SECONDS))),
        part(unless(stop, keep_going(stop, "alerting", sync_to_async(alerts.look), alerts.LOOK_SECONDS))),
        part(unless(stop, keep_going(stop, "reviewing", look_for_review, review_requests.LOOK_SECONDS))),
        part(unless(stop, keep_going(stop, "broadcasting", broadcast, broadcasts.LOOK_SECONDS))),
        part(unless(stop, hold())),
        offer_menus(),
        part(unless(stop, keep_going(stop, "tidying", sync_to_async(forget_old), FORGET_SECONDS))),
    )
    await asyncio.gather(*(each.finish(GRACE_SECONDS) for each in (speaker, courier, herald)))
    if problems:
        raise problems[0]
    logger.info("The bot has stopped.")


look_for_review = sync_to_async(review_requests.look)
broadcast = sync_to_async(broadcasts.look)


def forget_old() -> None:
    inbox.forget_old()
    asked.forget_old()
    alerts.forget_old()
    bulletins.forget_old()


async def connect(bot: App, webhook: bool, complaints: Complaints) -> None:
    """Say hello to Telegram, as often as it takes, and where its updates shall go."""
    failures = 0
    while True:
        try:
            await bot.initialize()
            if webhook:
                await subscribe(bot.bot)
            else:
                # One left over would keep the updates from us.
                await bot.bot.delete_webhook(drop_pending_updates=False)
            break
        except TelegramError as error:
            verdict = sort(error)
            # PTB's own words repeat the token.
            if verdict.next is Next.STOP:
                raise TokenRefused from None
            failures += 1
            complaints.problem = UNREACHABLE
            pause = max(verdict.wait, min(2.0 ** (failures - 1), LONGEST_PAUSE))
            logger.error("Telegram cannot be reached, next attempt in %.0f s: %s", pause, verdict.reason)
        await asyncio.sleep(pause)
    complaints.problem = ""


async def keep_going(
    stop: asyncio.Event,
    name: str,
    tick: Callable[[], Awaitable[object]],
    seconds: float,
    wake: asyncio.Event | None = None,
) -> None:
    """Call tick every so many seconds, or when woken, until stop is set. An error is logged and does not end it."""
    wake = wake or asyncio.Event()
    while not stop.is_set():
        wake.clear()
        pause = seconds
        try:
            await sync_to_async(close_old_connections)()
            await tick()
        except CannotRun:
            raise
        except Exception:
            logger.exception("The bot's %s failed; it goes on.", name)
            pause = max(pause, PAUSE_AFTER_ERROR)
        if not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), pause)
