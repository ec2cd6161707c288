"""What the commands about one's own videos answer. In a group they tell only what the person asked for there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from generations import afterwards, limits, operating, personal, services

from . import refusals, texts
from .asking import Announcement, Ask, title_of
from .buttons import Answer
from .delivery.outlook import Outlook
from .guide import guide
from .history import history
from .language_menu import language
from .ops import ops
from .privacy import delete_me, export_me, privacy
from .settings_menu import settings
from .terms import show
from .welcome import hello, start

# Lines of /status.
LISTED = 5
# Read for them: those that come first are among the oldest.
LOOKED_AT = 50

# None: nothing is said.
Told = str | Answer | Announcement | None


def status(ask: Ask) -> str:
    """Where each stands: what is rendered first, then in the order in which they come."""
    own = personal.awaited(*ask.whose)
    rows = list(own[:LOOKED_AT])
    if not rows:
        return texts.nothing_on_its_way()
    outlook = Outlook.now(rows)
    rows.sort(key=lambda row: (row.started_at is None, outlook.positions.get(row.pk, 0)))
    # Once is enough to say that nobody renders.
    line_by_line = replace(outlook, unattended=False)
    lines = [(line_by_line.words(row), title_of(row.prompt)) for row in rows[:LISTED]]
    total = len(rows) if len(rows) < LOOKED_AT else own.count()
    return texts.standing(lines, total - len(lines), unattended=outlook.unattended)


def usage(ask: Ask) -> str:
    """What is left today, and how many may be on their way."""
    try:
        left = personal.allowance(ask.person.user_id)
    except limits.LimitReached as banned:
        return texts.limit(banned)
    words = texts.usage(left.today, left.this_hour, left.unfinished, left.waiting_limit)
    group = personal.group_usage(ask.place.chat_id)
    return words + "\n" + texts.group_usage(group.used, group.limit) if group is not None else words


def cancel(ask: Ask) -> str:
    """The newest, or with "all" every one."""
    words = ask.words.strip().casefold()
    if words not in {"", "all"}:
        return texts.cancel_how()
    own = personal.unfinished(*ask.whose).filter(cancel_requested_at=None)
    if words:
        stopped = sum(operating.cancel(row, by="requester") for row in own)
        return texts.cancelled_all(stopped) if stopped else texts.nothing_to_cancel()
    row = own.last()
    # One that a worker has just finished is not the newest any more.
    while row is not None and not operating.cancel(row, by="requester"):
        row = own.last()
    if row is None:
        return texts.nothing_to_cancel()
    return texts.cancelled_newest(title_of(row.prompt), own.count(), running=row.cancel_requested_at is not None)


def again(ask: Ask) -> Told:
    """The last prompt that is finished, in the chat or topic where that is asked, with another seed."""
    row = personal.last_finished(*ask.whose)
    if row is None:
        return texts.nothing_again()
    try:
        new = afterwards.repeat(row, person=ask.person, request_key=ask.key, place=ask.place, seed="new")
    except afterwards.AskedAlready:
        return texts.asked_already()
    except services.REFUSALS as refusal:
        return refusals.answer(refusal, ask.person, ask.place.chat_id)
    return Announcement(new.pk)


COMMANDS: dict[str, Callable[[Ask], Told]] = {
    "start": start,
    "hello": hello,
    "help": guide,
    "status": status,
    "usage": usage,
    "history": history,
    "again": again,
    "cancel": cancel,
    "settings": settings,
    "language": language,
    "privacy": privacy,
    "terms": show,
    "export_me": export_me,
    "delete_me": delete_me,
    "ops": ops,
}
# Those that no list shows.
FOR_OPERATORS = {"ops"}
# Those that change something: done and noted in one transaction, so that none is done twice.
CHANGES = {"again", "cancel"}


def answer(ask: Ask) -> Told:
    return COMMANDS[ask.command](ask)
