"""Sends what was decided: one answer at a time per chat, in order, and whoever has waited longest first.

Each message is sent once, and not again when nobody knows whether it arrived; an edit may be repeated.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone
from telegram.constants import CallbackQueryLimit
from telegram.error import TelegramError
from telegram.ext import ExtBot

from . import language_note, languages, outbox, texts
from .addressing import answer_place, read_update
from .buttons import Form, Pressed
from .captions import shorten
from .delivery import keyboards, rows
from .errors import Next, sort
from .notices import Notices
from .outbox import Run
from .reactions import Reactions
from .sending import chat_lost
from .utterance import Utterance

logger = logging.getLogger(__name__)

# Answers on their way at one time, each in another chat. Most of them wait for their turn to be sent.
AT_ONCE = 16
# Chats that are next, asked for together.
LINE = 50
# Between attempts while Telegram cannot be reached.
RETRY_SECONDS = 5.0
# Before a chat is tried again whose answer could not be looked up.
PAUSE_AFTER_ERROR = 1.0
# An answer that Telegram provably did not take is tried again for this long.
PATIENCE = timedelta(hours=1)


class Speaker:
    def __init__(self, bot: ExtBot[int]) -> None:
        self.bot = bot
        # Rung when something was decided, or an answer is done.
        self.wake = asyncio.Event()
        self._line: deque[str] = deque()
        self._busy: dict[str, asyncio.Task[None]] = {}
        # Besides toasts, other answers that wait in no line.
        self._toasts: set[asyncio.Task[None]] = set()
        self._notices = Notices()
        self.reactions = Reactions(bot)

    async def tick(self) -> int:
        """Begin all answers that may begin. Returns how many are under way."""
        asked = False
        while len(self._busy) < AT_ONCE:
            if not self._line:
                if asked:
                    break
                asked = True
                self._line.extend(await sync_to_async(outbox.due)(LINE))
                continue
            chat = self._line.popleft()
            if chat not in self._busy:
                self._busy[chat] = asyncio.create_task(self._speak(chat), name=chat)
                self._busy[chat].add_done_callback(self._done)
        return len(self._busy)

    def toast(self, presses: Mapping[str, Pressed]) -> None:
        """Answer presses, by the ids of their queries, at once: whoever pressed looks at the button until then.

        Telegram counts these calls against no chat, and they are worth nothing later, so they wait in no line.
        """
        for query_id, pressed in presses.items():
            self.aside(self._toast(query_id, pressed))

    def aside(self, answer: Coroutine[Any, Any, None]) -> None:
        """Give an answer that counts against no chat and is worth nothing later. It raises nothing."""
        task = asyncio.create_task(answer)
        self._toasts.add(task)
        task.add_done_callback(self._toasts.discard)

    async def finish(self, seconds: float) -> None:
        """Let what has begun end, for a while."""
        tasks = [*self._busy.values(), *self._toasts]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        self.reactions.stop()
        for task in tasks:
            task.cancel()

    async def first_done(self) -> None:
        await asyncio.wait(self._busy.values(), return_when=asyncio.FIRST_COMPLETED)

    async def toasts_shown(self) -> None:
        if self._toasts:
            await asyncio.wait(self._toasts)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._busy[task.get_name()]
        self.wake.set()

    async def _toast(self, query_id: str, pressed: Pressed) -> None:
        words = shorten(pressed.toast, CallbackQueryLimit.ANSWER_CALLBACK_QUERY_TEXT_LENGTH)
        try:
            await self.bot.answer_callback_query(query_id, text=words or None, show_alert=pressed.alert)
        except TelegramError as error:
            # Too late, most likely: the bot was away when the button was pressed.
            logger.info("A press was not answered: %s", sort(error).reason)

    async def _speak(self, chat: str) -> None:
        try:
            run = await sync_to_async(outbox.next_run)(chat)
            if run is not None:
                spoken = await sync_to_async(languages.of_updates)([run.last])
                with languages.speaking(spoken[run.last.update_id]):
                    await self._say(run)
        except Exception as error:
            # Most likely the database. What was not begun is said later; what was begun may have arrived.
            logger.exception("Answer in chat %s: %s", chat, type(error).__name__)
            await asyncio.sleep(PAUSE_AFTER_ERROR)

    async def _say(self, run: Run) -> None:
        row, earlier = run.last, self._notices.earlier(run)
        text, form = texts.for_several(row.answer, len(run.rows)), Form.load(row.form)
        if row.announces is not None:
            text, form = (
                await sync_to_async(rows.before_announcing)(row.announces),
                Form(form.do, keyboards.waiting(row.announces)),
            )
            if not text:
                await sync_to_async(run.said)()
                return
        elif form.asks is not None:
            text, keyboard = await language_note.compose(form.asks)
            form = Form(keyboard=keyboard)
            if not text:
                await sync_to_async(run.said)()
                return
        update = read_update(json.loads(row.payload), self.bot)
        place = answer_place(update)
        utterance = Utterance(self.bot, place, text, form)
        patient = timezone.now() - row.received_at < PATIENCE
        try:
            await utterance.fetch_file()
        except OSError as error:
            problem = f"the file cannot be read: {type(error).__name__}"
            logger.warning("An answer in chat %s: %s", place.chat_id, problem)
            await (sync_to_async(run.later)(RETRY_SECONDS, problem) if patient else sync_to_async(run.said)(problem))
            return
        if not await sync_to_async(run.begin)():
            return
        sent_id, problem, began = None, "", timezone.now()
        try:
            if earlier is not None:
                more = texts.for_several(row.answer, earlier.messages + len(run.rows))
                earlier = earlier if await utterance.rewrite(earlier.message_id, more) else None
            sent_id = await utterance.say() if earlier is None else earlier.message_id
        except TelegramError as error:
            verdict = sort(error)
            problem = f"{verdict.next.name}: {verdict.reason}"
            repeatable = form.do != "send" or earlier is not None
            again = {Next.WAIT, Next.NOT_SENT, Next.STOP} | ({Next.UNKNOWN} if repeatable else set())
            if verdict.next in again and patient:
                await sync_to_async(run.later)(verdict.wait or RETRY_SECONDS, problem)
                return
            # Blocked, or refused, or perhaps sent, or tried for long: each is the end of it.
            logger.warning("Chat %s was not answered: %s", place.chat_id, verdict.reason)
            if verdict.next is Next.UNREACHABLE:
                await chat_lost(place.chat_id, verdict, since=began)
        self._notices.said(run, sent_id, earlier)
        if row.announces is not None:
            edited_id = place.prompt_message_id if form.do == "edit" and not problem else None
            await sync_to_async(rows.announced)(row.announces, sent_id or edited_id, text)
            if update.message is not None and sent_id is not None:
                self.reactions.accepted(update.message.chat.id, update.message.message_id)
        await sync_to_async(run.said)(problem)
