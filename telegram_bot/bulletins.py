"""What the bot says by itself: kept in the database, sent once, and edited in every chat when its words change.

Each message is sent once, and not again when nobody knows whether it arrived; an edit may be repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from telegram import Message
from telegram.constants import MessageLimit
from telegram.error import TelegramError
from telegram.ext import ExtBot

from . import languages, texts
from .buttons import Form, Keyboard, markup
from .captions import shorten
from .errors import Next, sort
from .models import Bulletin
from .sending import Target, chat_lost, send

logger = logging.getLogger(__name__)

# On their way at one time, each in another chat.
AT_ONCE = 4
# One that Telegram provably did not take is tried again for this long, with growing waits.
PATIENCE = timedelta(days=1)
LONGEST_WAIT = 300.0
# Without buttons nobody waits for anything any more.
KEEP = timedelta(days=30)
# May be repeated, for nothing was done.
NOT_SENT = {Next.WAIT, Next.NOT_SENT, Next.STOP}


def tell(topic: str, chat_id: int, text: str, keyboard: Keyboard | None = None, *, about: int | None = None) -> bool:
    """Send it to this chat, once per topic. False when that was wanted before."""
    words = {"text": text, "form": Form(keyboard=keyboard).dump(), "about": about}
    return Bulletin.objects.get_or_create(topic=topic, chat_id=chat_id, defaults=words)[1]


def chats(topic: str) -> list[int]:
    """Those that were told of it."""
    return list(Bulletin.objects.filter(topic=topic).order_by("pk").values_list("chat_id", flat=True))


def with_buttons(topics: str) -> list[str]:
    """Those that begin with this and still have buttons."""
    found = Bulletin.objects.filter(topic__startswith=topics).exclude(form="")
    return sorted(set(found.values_list("topic", flat=True)))


def retell(topic: str, text: str, keyboard: Keyboard | None = None, *, chat_id: int | None = None) -> int:
    """Other words and buttons, in every chat that was told of the topic or in one. Returns how many there are."""
    told = Bulletin.objects.filter(topic=topic)
    if chat_id is not None:
        told = told.filter(chat_id=chat_id)
    return _change(told, text=text, form=Form(keyboard=keyboard).dump())


def take_back(topics: str) -> int:
    """What begins with this and has not gone out, and shall not any more."""
    return Bulletin.objects.filter(topic__startswith=topics, message_id=None, sending_at=None).delete()[0]


def seen(topic: str, chat_id: int, message_id: int) -> None:
    """Somebody pressed a button under it: it did arrive, under this number."""
    Bulletin.objects.filter(topic=topic, chat_id=chat_id, message_id=None).update(message_id=message_id)


def of_person(user_id: int) -> list[dict[str, Any]]:
    """What was said to or of a person, the oldest first."""
    return [{"at": bulletin.changed_at, "text": bulletin.text} for bulletin in _of(user_id).order_by("pk")]


def outcomes(user_id: int, most: int) -> list[dict[str, Any]]:
    """What was said to a person in private, the newest first, and whether it arrived."""
    told = Bulletin.objects.filter(chat_id=user_id).order_by("-pk")[:most]
    return [{"at": row.changed_at, "text": row.text, "outcome": _outcome(row)} for row in told]


def _outcome(row: Bulletin) -> str:
    if row.message_id is not None:
        return "arrived"
    return "on its way" if row.due else f"did not arrive: {row.error}"


def forget(user_id: int) -> int:
    """Nothing is left of what was said to or of this person, also in the operators' chats. Returns how many."""
    told = _of(user_id).exclude(chat_id=user_id).filter(message_id__isnull=False)
    withdrawn = 0
    for chat_id, language in languages.of_chats(set(told.values_list("chat_id", flat=True))).items():
        with languages.speaking(language):
            words = texts.bulletin_withdrawn()
        withdrawn += _change(told.filter(chat_id=chat_id), text=words, form="", about=None)
    return withdrawn + _of(user_id).delete()[0]


def close_unknown() -> int:
    """For the one bot process, at its start: whoever was sending these is dead. They may have arrived."""
    begun = Bulletin.objects.filter(due=True, sending_at__isnull=False, message_id__isnull=True)
    return begun.update(due=False, error="nobody knows whether it was sent")


def forget_old() -> int:
    over = Bulletin.objects.filter(due=False, form="", changed_at__lt=timezone.now() - KEEP)
    return over.delete()[0]


def due(avoid: Collection[int], most: int) -> list[Bulletin]:
    """What may go out now, the oldest first, and one per chat."""
    now = Q(not_before__isnull=True) | Q(not_before__lt=Now())
    found: dict[int, Bulletin] = {}
    waiting = Bulletin.objects.filter(now, _UNBEGUN, due=True).exclude(chat_id__in=list(avoid))
    for bulletin in waiting.order_by("pk")[:50]:
        found.setdefault(bulletin.chat_id, bulletin)
    return list(found.values())[:most]


# Its fate is unknown otherwise.
_UNBEGUN = Q(sending_at__isnull=True) | Q(message_id__isnull=False)


def _of(user_id: int) -> QuerySet[Bulletin]:
    return Bulletin.objects.filter(Q(about=user_id) | Q(chat_id=user_id))


def _change(bulletins: QuerySet[Bulletin], **words: Any) -> int:
    return bulletins.update(
        **words, version=F("version") + 1, due=True, changed_at=timezone.now(), not_before=None, attempts=0
    )


def _begin(bulletin: Bulletin) -> bool:
    """Just before a message goes out. False when its words are others by now, or it was begun before."""
    mine = Bulletin.objects.filter(_UNBEGUN, pk=bulletin.pk, version=bulletin.version, due=True)
    return mine.update(sending_at=timezone.now(), attempts=F("attempts") + 1) == 1


def _shown(bulletin: Bulletin, chat_id: int, message_id: int | None) -> None:
    """It is there as it was when it was begun. Changed since, it is still due."""
    if message_id is not None:
        Bulletin.objects.filter(pk=bulletin.pk).update(chat_id=chat_id, message_id=message_id)
    Bulletin.objects.filter(pk=bulletin.pk, version=bulletin.version).update(due=False, error="")


def _later(bulletin: Bulletin, wait: float, reason: str) -> None:
    """Provably nothing was done."""
    until = Now() + timedelta(seconds=wait)
    own = Bulletin.objects.filter(pk=bulletin.pk)
    own.filter(message_id=None).update(sending_at=None)
    own.update(not_before=until, error=reason[:2000])


def _given_up(bulletin: Bulletin, reason: str) -> None:
    Bulletin.objects.filter(pk=bulletin.pk, version=bulletin.version).update(due=False, error=reason[:2000])


def _moved(bulletin: Bulletin, chat_id: int) -> None:
    """Message numbers of the old chat mean nothing there, so it is sent anew; unless that chat was told as well."""
    if Bulletin.objects.filter(topic=bulletin.topic, chat_id=chat_id).exists():
        Bulletin.objects.filter(pk=bulletin.pk).delete()
        return
    Bulletin.objects.filter(pk=bulletin.pk).update(chat_id=chat_id, message_id=None, sending_at=None)


class Herald:
    """Sends and edits them, one at a time per chat."""

    def __init__(self, bot: ExtBot[int]) -> None:
        self.bot = bot
        # Rung when a chat is free again.
        self.wake = asyncio.Event()
        self._busy: dict[int, asyncio.Task[None]] = {}

    async def tick(self) -> int:
        """Begin what may begin. Returns how many are under way."""
        if len(self._busy) < AT_ONCE:
            for bulletin in await sync_to_async(due)(self._busy, AT_ONCE - len(self._busy)):
                task = asyncio.create_task(self._guarded(bulletin), name=str(bulletin.chat_id))
                self._busy[bulletin.chat_id] = task
                task.add_done_callback(self._free)
        return len(self._busy)

    async def run_once(self) -> None:
        """Say everything that is due, and come back when it is done."""
        while await self.tick():
            await asyncio.wait(self._busy.values(), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)

    async def finish(self, seconds: float) -> None:
        """Let what has begun end, for a while."""
        tasks = list(self._busy.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()

    def _free(self, task: asyncio.Task[None]) -> None:
        del self._busy[int(task.get_name())]
        self.wake.set()

    async def _guarded(self, bulletin: Bulletin) -> None:
        try:
            if await sync_to_async(_begin)(bulletin):
                await self._say(bulletin)
        except Exception as error:
            # Most likely the database. A message that was begun may have arrived, an edit is made again.
            logger.exception("Bulletin %s in chat %s: %s", bulletin.topic, bulletin.chat_id, type(error).__name__)

    async def _say(self, bulletin: Bulletin) -> None:
        began = timezone.now()
        try:
            if bulletin.message_id is None:
                message = await self._send(bulletin)
                await sync_to_async(_shown)(bulletin, message.chat.id, message.message_id)
            else:
                await self._edit(bulletin)
                await sync_to_async(_shown)(bulletin, bulletin.chat_id, None)
        except TelegramError as error:
            await self._failed(bulletin, error, began)

    async def _failed(self, bulletin: Bulletin, error: TelegramError, began: datetime) -> None:
        verdict = sort(error)
        again = NOT_SENT | ({Next.UNKNOWN} if bulletin.message_id is not None else set())
        if verdict.next is Next.DONE:
            await sync_to_async(_shown)(bulletin, bulletin.chat_id, None)
        elif verdict.next is Next.MOVED and verdict.chat_id is not None:
            await sync_to_async(_moved)(bulletin, verdict.chat_id)
        elif verdict.next in again and began - bulletin.changed_at < PATIENCE:
            wait = verdict.wait or min(2.0**bulletin.attempts, LONGEST_WAIT)
            await sync_to_async(_later)(bulletin, wait, f"{verdict.next.name}: {verdict.reason}")
        else:
            logger.warning("Bulletin %s in chat %s: %s", bulletin.topic, bulletin.chat_id, verdict.reason)
            await sync_to_async(_given_up)(bulletin, f"{verdict.next.name}: {verdict.reason}")
            if verdict.next is Next.UNREACHABLE:
                await chat_lost(bulletin.chat_id, verdict, since=began)

    async def _send(self, bulletin: Bulletin) -> Message:
        text, buttons = _words(bulletin)

        async def call(target: Target) -> Message:
            return await self.bot.send_message(text=text, reply_markup=buttons, **target.arguments())

        return await send(Target(bulletin.chat_id), call)

    async def _edit(self, bulletin: Bulletin) -> None:
        text, buttons = _words(bulletin)
        await self.bot.edit_message_text(
            text, chat_id=bulletin.chat_id, message_id=bulletin.message_id, reply_markup=buttons
        )


def _words(bulletin: Bulletin) -> tuple[str, Any]:
    return shorten(bulletin.text, MessageLimit.MAX_TEXT_LENGTH), markup(Form.load(bulletin.form).keyboard)
