"""Hands over one result. An edit of the status message may be repeated; a new message is sent once."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone
from telegram import InputMediaVideo, Message
from telegram.error import TelegramError
from telegram.ext import ExtBot

from generations import quiet, services
from generations.models import Generation

from .. import languages, texts
from ..buttons import markup
from ..errors import Next, Verdict, sort
from ..sending import UPLOAD, Target, chat_lost, send
from ..uploading import shown
from . import parcel as parcels
from . import rows
from .parcel import Parcel, Video

logger = logging.getLogger(__name__)

# Attempts while Telegram cannot be reached: with the waits below, more than an hour.
MAX_ATTEMPTS = 25
LONGEST_WAIT = 300.0
# Whoever waited longer has put the phone away; an edit alone does not ring it.
RING_AFTER = timedelta(seconds=60)

Sent = Message | bool | None


class Handover:
    """For one claimed row: deliver() ends in exactly one recorded outcome."""

    def __init__(self, bot: ExtBot[int], owner: str, row: Generation) -> None:
        self.bot, self.owner, self.row = bot, owner, row
        self.began = timezone.now()
        self.silent = False

    async def deliver(self) -> None:
        """In the language of whoever asked for it."""
        person = self.row.requester
        with languages.speaking(languages.of(person.language, person.language_code)):
            await self._deliver()

    async def _deliver(self) -> None:
        row = self.row
        try:
            parcel = await sync_to_async(parcels.pack)(row)
            self.silent = await sync_to_async(quiet.is_silent)(row)
        except Exception as error:
            logger.exception("The file of %s cannot be read: %s", row.pk, type(error).__name__)
            await self._later(Verdict(Next.NOT_SENT, f"the storage failed: {type(error).__name__}"))
            return
        if parcel.is_too_large and await self._make_smaller(parcel.flaw):
            return
        status_message = row.status_message_id
        while True:
            edited = row.status_message_id
            verdict, sent = await self._attempt(parcel)
            step = verdict.next
            if step is Next.MOVED and verdict.chat_id is not None:
                await sync_to_async(services.chat_moved)(self._chat_id, verdict.chat_id)
                await sync_to_async(row.refresh_from_db)()
                status_message = None
            elif step in {Next.GONE, Next.NO_TEXT} and edited is not None:
                await self._forget_status(edited)
                status_message = None
            elif step is Next.REFUSED and edited is not None and parcel.video is not None:
                # What cannot be edited in can often be sent.
                await self._forget_status(edited)
            elif step is Next.TOO_LARGE and parcel.video is not None and await self._make_smaller(verdict.reason):
                return
            elif step in {Next.REFUSED, Next.TOO_LARGE} and parcel.video is not None:
                large = step is Next.TOO_LARGE
                parcel = parcels.too_large() if large else parcels.not_accepted(verdict.reason)
                row.status_message_id = status_message
            else:
                break
        await self._settle(parcel, verdict, sent)
        if status_message is not None and row.status_message_id is None and row.delivered_at is not None:
            await self._remove(status_message)

    # --- one attempt

    async def _attempt(self, parcel: Parcel) -> tuple[Verdict, Sent]:
        edited = self.row.status_message_id
        sign: AbstractAsyncContextManager[None] = nullcontext()
        if parcel.video is not None:
            sign = shown(self.bot, self._chat_id, self.row.thread_id, "upload_video")
        try:
            async with sign:
                sent: Sent = await (self._send(parcel) if edited is None else self._edit(edited, parcel))
        except TelegramError as error:
            return sort(error), None
        return Verdict(Next.DONE, ""), sent

    async def _edit(self, message_id: int, parcel: Parcel) -> Message | bool:
        place: dict[str, Any] = {"chat_id": self._chat_id, "message_id": message_id}
        place["reply_markup"] = markup(parcel.keyboard)
        if parcel.video is None:
            return await self.bot.edit_message_text(parcel.text, **place)
        media = InputMediaVideo(parcel.video.data, caption=parcel.text, **_facts(parcel.video))
        return await self.bot.edit_message_media(media, **place, **UPLOAD)

    async def _send(self, parcel: Parcel) -> Message:
        arguments: dict[str, Any] = {"reply_markup": markup(parcel.keyboard), "disable_notification": self.silent}

        async def call(target: Target) -> Message:
            if parcel.video is None:
                return await self.bot.send_message(text=parcel.text, **arguments, **target.arguments())
            facts = {**_facts(parcel.video), **target.arguments(), **UPLOAD, **arguments}
            return await self.bot.send_video(video=parcel.video.data, caption=parcel.text, **facts)

        return await send(Target(self._chat_id, self.row.thread_id, self.row.prompt_message_id), call)

    # --- the outcome

    async def _settle(self, parcel: Parcel, verdict: Verdict, sent: Sent) -> None:
        """Write down how the last attempt ended."""
        row, reason = self.row, verdict.reason
        if verdict.next is Next.DONE:
            await self._done(parcel, sent)
        elif verdict.next in self._repeatable():
            await self._later(verdict)
        elif verdict.next is Next.UNKNOWN:
            logger.warning("Result %s may have arrived: %s", row.pk, reason)
            await sync_to_async(row.delivery_unknown)(self.owner, reason=reason)
        else:
            logger.warning("Result %s cannot be delivered: %s", row.pk, reason)
            await sync_to_async(row.undeliverable)(self.owner, reason=reason)
            if verdict.next is Next.UNREACHABLE:
                await chat_lost(self._chat_id, verdict, since=self.began)

    def _repeatable(self) -> set[Next]:
        """An edit may be repeated even when nobody knows what became of it."""
        not_sent = {Next.WAIT, Next.NOT_SENT, Next.STOP}
        return not_sent if self.row.status_message_id is None else not_sent | {Next.UNKNOWN}

    async def _done(self, parcel: Parcel, sent: Sent) -> None:
        """It is there. Nothing was sent when Telegram only said that it was there before."""
        row = self.row
        if parcel.flaw:
            await sync_to_async(row.undeliverable)(self.owner, reason=f"told in words: {parcel.flaw}")
            return
        message = sent if isinstance(sent, Message) else None
        message_id = message.message_id if message else row.status_message_id
        kind, kept = file_of(message)
        first = await sync_to_async(row.delivered)(self.owner, message_id=message_id, file_id=kept, file_kind=kind)
        if first and parcel.video is not None:
            await sync_to_async(services.licence_told)(row)
            if row.status_message_id is not None:
                await self._ring()

    async def _later(self, verdict: Verdict) -> None:
        row = self.row
        if row.delivery_attempts >= MAX_ATTEMPTS:
            logger.error("Result %s is given up: %s", row.pk, verdict.reason)
            await sync_to_async(row.undeliverable)(self.owner, reason=verdict.reason)
            return
        wait = verdict.wait or min(2.0**row.delivery_attempts, LONGEST_WAIT)
        logger.info("Result %s is tried again in %.0f s: %s", row.pk, wait, verdict.reason)
        await sync_to_async(row.deliver_later)(self.owner, wait=timedelta(seconds=wait), reason=verdict.reason)

    async def _make_smaller(self, reason: str) -> bool:
        """Hand it to a worker, who has the encoder; it comes back to be sent. False when that has happened before."""
        wanted = await sync_to_async(services.make_smaller)(self.row, self.owner, reason=reason)
        if wanted:
            logger.warning("Result %s is too large and will be made smaller: %s", self.row.pk, reason)
        return wanted

    async def _ring(self) -> None:
        """A short reply to the video after a long wait. Best effort, never repeated.

        Also where it makes no sound: an edit alone does not show in the list of chats.
        """
        row = self.row
        if timezone.now() - row.created_at < RING_AFTER:
            return
        # In a group the author's phone rings for an answer to the author.
        reply_to = row.prompt_message_id if self._chat_id < 0 else row.status_message_id

        async def call(target: Target) -> Message:
            return await self.bot.send_message(
                text=texts.ready(), disable_notification=self.silent, **target.arguments()
            )

        try:
            await send(Target(self._chat_id, row.thread_id, reply_to), call)
        except TelegramError as error:
            logger.info("No ring for %s: %s", row.pk, sort(error).reason)

    async def _forget_status(self, message_id: int) -> None:
        """In the database first: whoever recovers this delivery must not take a new message for an edit."""
        await sync_to_async(rows.forget_status)(self.row.pk, message_id)
        self.row.status_message_id = None

    async def _remove(self, message_id: int) -> None:
        """The result came as a new message, so the status message that could not become it goes."""
        try:
            await self.bot.delete_message(chat_id=self._chat_id, message_id=message_id)
        except TelegramError as error:
            logger.info("The status of %s stays: %s", self.row.pk, sort(error).reason)

    @property
    def _chat_id(self) -> int:
        """A row to deliver has a chat."""
        assert self.row.chat_id is not None
        return self.row.chat_id


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


def file_of(message: Message | None) -> tuple[str, str]:
    """Its kind and id. Telegram decides what a clip is: without sound it may come back as an animation."""
    # An animation is a document, too.
    for kind in ("video", "animation", "document"):
        kept = getattr(message, kind, None)
        if kept:
            return kind, kept.file_id
    return "", ""
