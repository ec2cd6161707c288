"""Hands over what is finished. An edit of the status message may be repeated; a new message is sent once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone
from telegram import InputMediaVideo, Message
from telegram.error import TelegramError
from telegram.ext import ExtBot

from generations import services
from generations.models import Generation, Status

from .. import texts
from ..errors import Next, Verdict, sort
from ..limiter import FloodLimiter
from ..sending import Target, send
from . import parcel as parcels
from . import rows
from .parcel import Parcel, Video
from .status import StatusBoard

logger = logging.getLogger(__name__)

# Results handed over at one time, each in another chat: an upload may take two minutes.
AT_ONCE = 8
# Attempts while Telegram cannot be reached: with the waits below, more than an hour.
MAX_ATTEMPTS = 25
LONGEST_WAIT = 300.0
# Whoever waited longer has put the phone away; an edit alone does not ring it.
RING_AFTER = timedelta(seconds=60)
UPLOAD: dict[str, Any] = {"read_timeout": 120.0, "write_timeout": 120.0}


class Courier:
    def __init__(self, bot: ExtBot[int], owner: str) -> None:
        self.bot, self.owner = bot, owner
        self.board = StatusBoard(bot)
        # One thing at a time per chat: a progress edit must not come after the result.
        self._busy: dict[int, asyncio.Task[None]] = {}
        # Rung when a chat is free again.
        self.wake = asyncio.Event()

    # --- what to do next

    async def tick(self) -> None:
        """Begin every delivery and every status edit that is due."""
        await self.start_deliveries()
        for edit in await self.board.due(self._avoid()):
            self._start(edit.chat_id, self.board.show(edit))

    async def start_deliveries(self) -> int:
        """Begin what may be handed over now. Returns how many are under way."""
        while len(self._busy) < AT_ONCE:
            row = await sync_to_async(rows.claim)(self.owner, self._avoid())
            if row is None:
                break
            self._start(int(row.chat_id or 0), self.deliver(row))
        return len(self._busy)

    async def run_once(self) -> None:
        """Hand over everything that is due, and come back when it is done. No progress edits."""
        while await self.start_deliveries():
            await asyncio.wait(self._busy.values(), return_when=asyncio.FIRST_COMPLETED)

    async def finish(self, seconds: float) -> None:
        """Let what has begun end, for a while."""
        tasks = list(self._busy.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()

    def _avoid(self) -> set[int]:
        limiter = self.bot.rate_limiter
        paused = limiter.paused() if isinstance(limiter, FloodLimiter) else []
        return {*self._busy, *paused}

    def _start(self, chat_id: int, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                # Most likely the database. The delivery's lease runs out, and the sweep decides.
                logger.exception("Delivery in chat %s: %s", chat_id, type(error).__name__)

        def free(task: asyncio.Task[None]) -> None:
            self._busy.pop(chat_id, None)
            self.wake.set()

        self._busy[chat_id] = asyncio.create_task(guarded())
        self._busy[chat_id].add_done_callback(free)

    # --- one delivery

    async def deliver(self, row: Generation) -> None:
        """Hand over one claimed row and record the outcome."""
        try:
            parcel = await sync_to_async(parcels.pack)(row)
        except Exception as error:
            logger.exception("The file of %s cannot be read: %s", row.pk, type(error).__name__)
            await self._later(row, Verdict(Next.NOT_SENT, f"the storage failed: {type(error).__name__}"))
            return
        status_message = row.status_message_id
        while True:
            edited = row.status_message_id
            message: Message | bool | None = None
            try:
                message = await (self._send(row, parcel) if edited is None else self._edit(row, edited, parcel))
            except TelegramError as error:
                verdict = sort(error)
            else:
                verdict = Verdict(Next.DONE, "")
            match verdict.next:
                case Next.DONE:
                    await self._done(row, parcel, message)
                case Next.MOVED if verdict.chat_id is not None:
                    await sync_to_async(services.chat_moved)(int(row.chat_id or 0), verdict.chat_id)
                    await sync_to_async(row.refresh_from_db)()
                    status_message = None
                    continue
                case Next.GONE if edited is not None:
                    await sync_to_async(rows.forget_status)(row.pk, edited)
                    row.status_message_id = status_message = None
                    continue
                case Next.REFUSED if edited is not None and parcel.video is not None:
                    # What cannot be edited in can often be sent; the old status then goes. Forgotten first: whoever
                    # recovers this delivery must not take it for an edit, which may be repeated.
                    await sync_to_async(rows.forget_status)(row.pk, edited)
                    row.status_message_id = None
                    continue
                case Next.REFUSED | Next.TOO_LARGE if parcel.video is not None:
                    large = verdict.next is Next.TOO_LARGE
                    parcel = parcels.too_large() if large else parcels.not_accepted(verdict.reason)
                    row.status_message_id = status_message
                    continue
                case Next.WAIT | Next.NOT_SENT | Next.STOP:
                    await self._later(row, verdict)
                case Next.UNKNOWN if edited is not None:
                    await self._later(row, verdict)
                case Next.UNKNOWN:
                    logger.warning("Result %s may have arrived: %s", row.pk, verdict.reason)
                    await sync_to_async(row.delivery_unknown)(self.owner, reason=verdict.reason)
                case _:
                    logger.warning("Result %s cannot be delivered: %s", row.pk, verdict.reason)
                    await sync_to_async(row.undeliverable)(self.owner, reason=verdict.reason)
            break
        if status_message is not None and row.status_message_id is None and row.delivered_at is not None:
            await self._remove(row, status_message)

    async def _edit(self, row: Generation, message_id: int, parcel: Parcel) -> Message | bool:
        place: dict[str, Any] = {"chat_id": row.chat_id, "message_id": message_id}
        if parcel.video is None:
            return await self.bot.edit_message_text(parcel.text, **place)
        media = InputMediaVideo(parcel.video.data, caption=parcel.text, **_facts(parcel.video))
        return await self.bot.edit_message_media(media, **place, **UPLOAD)

    async def _send(self, row: Generation, parcel: Parcel) -> Message:
        async def call(target: Target) -> Message:
            if parcel.video is None:
                return await self.bot.send_message(text=parcel.text, **target.arguments())
            facts = {**_facts(parcel.video), **target.arguments(), **UPLOAD}
            return await self.bot.send_video(video=parcel.video.data, caption=parcel.text, **facts)

        return await send(Target(int(row.chat_id or 0), row.thread_id, row.prompt_message_id), call)

    # --- the outcome

    async def _done(self, row: Generation, parcel: Parcel, message: Message | bool | None) -> None:
        """It is there. message is None when Telegram only said that it was there before."""
        if parcel.flaw:
            await sync_to_async(row.undeliverable)(self.owner, reason=f"told in words: {parcel.flaw}")
            return
        sent = message if isinstance(message, Message) else None
        first = await sync_to_async(row.delivered)(
            self.owner, message_id=sent.message_id if sent else row.status_message_id, file_id=_file_id(sent)
        )
        if first and parcel.video is not None and row.status_message_id is not None:
            await self._ring(row)

    async def _later(self, row: Generation, verdict: Verdict) -> None:
        if row.delivery_attempts >= MAX_ATTEMPTS:
            logger.error("Result %s is given up: %s", row.pk, verdict.reason)
            await sync_to_async(row.undeliverable)(self.owner, reason=verdict.reason)
            return
        wait = verdict.wait or min(2.0**row.delivery_attempts, LONGEST_WAIT)
        logger.info("Result %s is tried again in %.0f s: %s", row.pk, wait, verdict.reason)
        await sync_to_async(row.deliver_later)(self.owner, wait=timedelta(seconds=wait), reason=verdict.reason)

    async def _ring(self, row: Generation) -> None:
        """A short reply after a long wait. Best effort, never repeated."""
        if row.status != Status.SUCCEEDED or timezone.now() - row.created_at < RING_AFTER or row.chat_id is None:
            return
        # In a group the author's phone rings for an answer to the author.
        reply_to = row.prompt_message_id if row.chat_id < 0 else row.status_message_id

        async def call(target: Target) -> Message:
            return await self.bot.send_message(text=texts.ready(), **target.arguments())

        try:
            await send(Target(row.chat_id, row.thread_id, reply_to), call)
        except TelegramError as error:
            logger.info("No ring for %s: %s", row.pk, sort(error).reason)

    async def _remove(self, row: Generation, message_id: int) -> None:
        """The result came as a new message, so the status message that could not become it goes."""
        try:
            await self.bot.delete_message(chat_id=row.chat_id or 0, message_id=message_id)
        except TelegramError as error:
            logger.info("The status of %s stays: %s", row.pk, sort(error).reason)


def _facts(video: Video) -> dict[str, Any]:
    """With these every client plays it in place: a video whose size is unknown is shown as a file."""
    return {
        "filename": "video.mp4",
        "width": video.width,
        "height": video.height,
        "duration": video.duration,
        "thumbnail": video.poster,
        "supports_streaming": True,
    }


def _file_id(message: Message | None) -> str:
    """Telegram decides what a clip is: without sound it may come back as an animation."""
    kept = message and (message.video or message.animation or message.document)
    return kept.file_id if kept else ""
