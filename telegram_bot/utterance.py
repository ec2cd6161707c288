"""One answer, as calls to Telegram: a new message, an edit of the message whose button was pressed, or its deletion."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from telegram import InlineKeyboardMarkup, Message
from telegram.constants import MessageLimit
from telegram.error import TelegramError
from telegram.ext import ExtBot

from generations.services import Place

from . import privacy, texts
from .buttons import Form, Media, markup
from .captions import shorten
from .errors import Next, sort
from .sending import UPLOAD, Target, send
from .uploading import shown

logger = logging.getLogger(__name__)


class Utterance:
    """place.prompt_message_id is the message to answer; of a press, the one with the button."""

    def __init__(self, bot: ExtBot[int], place: Place, text: str, form: Form) -> None:
        self.bot, self.place, self.text, self.form = bot, place, text, form
        self._file: bytes | None = None

    async def fetch_file(self) -> None:
        """Before say(), of which nobody may know how it ended. Raises OSError while the storage does not answer."""
        media = self.form.media
        if media is not None and media.exports is not None:
            package = await sync_to_async(privacy.package)(media.exports)
            self._file = package.content
            self.form = replace(self.form, media=replace(media, filename=package.filename))
            if package.left_out:
                self.text += "\n\n" + texts.export_left_out(package.left_out, privacy.MAX_BYTES // 10**6)
        elif media is not None and not media.file_id:
            self._file = await sync_to_async(_read)(media.name)

    async def say(self) -> int | None:
        """The number of a new message, None for anything else. Raises PTB's errors, as for any single call."""
        if self.form.do == "send":
            return (await self._send()).message_id
        if self.form.do == "delete":
            await self._delete()
        else:
            await self._edit()
        return None

    async def rewrite(self, message_id: int, text: str) -> bool:
        """Put the words into an earlier message. False when that can no longer be done. Raises what may pass."""
        short, buttons = shorten(text, MessageLimit.MAX_TEXT_LENGTH), markup(self.form.keyboard)
        place: dict[str, Any] = {"chat_id": self.place.chat_id, "message_id": message_id}
        try:
            await self.bot.edit_message_text(short, **place, reply_markup=buttons)
        except TelegramError as error:
            verdict = sort(error)
            if verdict.next in {Next.WAIT, Next.NOT_SENT, Next.UNKNOWN, Next.STOP}:
                raise
            return verdict.next is Next.DONE
        return True

    async def _send(self) -> Message:
        media, buttons = self.form.media, markup(self.form.keyboard)
        target = Target(self.place.chat_id, self.place.thread_id, self.place.prompt_message_id)
        if media is not None:
            return await self._send_media(media, target, buttons)
        return await self._send_words(target, buttons)

    async def _send_words(self, target: Target, buttons: InlineKeyboardMarkup | None) -> Message:
        short = shorten(self.text, MessageLimit.MAX_TEXT_LENGTH)

        async def call(target: Target) -> Message:
            return await self.bot.send_message(text=short, reply_markup=buttons, **target.arguments())

        return await send(target, call)

    async def _send_media(self, media: Media, target: Target, buttons: InlineKeyboardMarkup | None) -> Message:
        """By the id that Telegram has it under. An id that it refuses was not sent: then the file from our storage."""
        # Telegram calls silent clips animations, and takes no id as a video that it does not call one.
        kinds = [media.kind, "animation"] if media.kind == "video" else [media.kind]
        for kind in kinds if media.file_id else ():
            try:
                return await self._send_file(kind, media.file_id, {}, target, buttons)
            except TelegramError as error:
                verdict = sort(error)
                if verdict.next is not Next.REFUSED:
                    raise
                logger.info("A file's id was refused in chat %s: %s", target.chat_id, verdict.reason)
        content = self._file
        if media.file_id:
            try:
                content = await sync_to_async(_read)(media.name)
            except OSError as error:
                logger.warning("A file for chat %s cannot be read: %s", target.chat_id, type(error).__name__)
        if content is None:
            self.text = texts.file_missing()
            return await self._send_words(target, None)
        action = "upload_document" if media.kind == "document" else "upload_video"
        async with shown(self.bot, target.chat_id, target.thread_id, action):
            return await self._send_file(media.kind, content, {"filename": media.filename, **UPLOAD}, target, buttons)

    async def _send_file(
        self,
        kind: str,
        file: str | bytes,
        facts: dict[str, Any],
        target: Target,
        buttons: InlineKeyboardMarkup | None,
    ) -> Message:
        senders: dict[str, Any] = {
            "video": self.bot.send_video,
            "animation": self.bot.send_animation,
            "document": self.bot.send_document,
        }
        facts = {kind: file, **facts}
        if kind == "document":
            # Else Telegram makes a video of it again.
            facts["disable_content_type_detection"] = True
        caption = shorten(self.text, MessageLimit.CAPTION_LENGTH) or None

        async def call(target: Target) -> Message:
            message: Message = await senders[kind](caption=caption, reply_markup=buttons, **facts, **target.arguments())
            return message

        return await send(target, call)

    async def _edit(self) -> None:
        """Every error but those that may pass is the end of it: the message is gone, or is as wanted already."""
        place: dict[str, Any] = {"chat_id": self.place.chat_id, "message_id": self.place.prompt_message_id}
        buttons = markup(self.form.keyboard)
        try:
            if self.text:
                await self._edit_words(place, buttons)
            else:
                await self.bot.edit_message_reply_markup(**place, reply_markup=buttons)
        except TelegramError as error:
            verdict = sort(error)
            if verdict.next not in {Next.DONE, Next.GONE}:
                raise
            logger.info("Not edited in chat %s: %s", self.place.chat_id, verdict.reason)

    async def _edit_words(self, place: dict[str, Any], buttons: InlineKeyboardMarkup | None) -> None:
        try:
            short = shorten(self.text, MessageLimit.MAX_TEXT_LENGTH)
            await self.bot.edit_message_text(short, **place, reply_markup=buttons)
        except TelegramError as error:
            if sort(error).next is not Next.NO_TEXT:
                raise
            # A video: its caption holds the words.
            short = shorten(self.text, MessageLimit.CAPTION_LENGTH)
            await self.bot.edit_message_caption(**place, caption=short, reply_markup=buttons)

    async def _delete(self) -> None:
        """Telegram lets a bot delete what is younger than two days."""
        assert self.place.prompt_message_id is not None, "a press has a message"
        if self.form.also is not None:
            try:
                await self.bot.delete_message(self.place.chat_id, self.form.also)
            except TelegramError as error:
                logger.info("Not deleted in chat %s: %s", self.place.chat_id, sort(error).reason)
        try:
            await self.bot.delete_message(self.place.chat_id, self.place.prompt_message_id)
        except TelegramError as error:
            verdict = sort(error)
            if verdict.next is Next.GONE:
                return
            if verdict.next not in {Next.REFUSED, Next.GIVE_UP}:
                raise
            logger.info("Not deleted in chat %s: %s", self.place.chat_id, verdict.reason)
            await self._edit()


def _read(name: str) -> bytes | None:
    """None when it is not there (any more)."""
    if not name or not default_storage.exists(name):
        return None
    with default_storage.open(name, "rb") as file:
        content: bytes = file.read()
    return content
