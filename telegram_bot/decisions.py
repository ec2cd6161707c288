"""What the handlers want for the updates they were given, decided together: a flood costs little that way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from generations import afterwards, audit_log, groups, services

from . import commands, edits, inbox, languages, outbox, refusals, texts
from .actions import LAST, NOTED, act
from .asking import Announcement, Ask
from .buttons import Answer, Form, Press, Pressed
from .edits import Edit

# Under this name in the application's bot_data.
DECISIONS = "decisions"


@dataclass(frozen=True)
class Move:
    """A group goes on under another id."""

    old_id: int
    new_id: int


@dataclass(frozen=True)
class Membership:
    """The bot was made a member of a group, or removed from it."""

    chat_id: int
    title: str
    there: bool


@dataclass(frozen=True)
class GroupOff:
    """Somebody spoke to the bot in a group from which nothing is taken."""

    chat_id: int
    title: str


@dataclass(frozen=True)
class Rewording:
    """A prompt that answers one of the bot's messages: perhaps a result, which is to be made in other words."""

    request: services.Request
    message_id: int
    # The job that the buttons under that message are for.
    job: int | None


@dataclass(frozen=True)
class AlbumPart:
    """A picture of several that were sent together."""

    chat: str
    album: str


# What can be asked for: to submit a prompt, to say something, to do what a button says, and so on.
Wish = services.Request | Rewording | Answer | str | Press | Ask | Move | AlbumPart | Edit | Membership | GroupOff


class Decisions:
    """Wishes by update, in their order. Handlers add them, the consumer takes them."""

    def __init__(self) -> None:
        self._wishes: dict[int, Wish] = {}

    @classmethod
    def of(cls, bot_data: dict[str, Any]) -> Decisions:
        """Those of this application."""
        decisions: Decisions = bot_data.setdefault(DECISIONS, cls())
        return decisions

    def add(self, update_id: int, wish: Wish) -> None:
        self._wishes[update_id] = wish

    def take(self, update_ids: list[int]) -> dict[int, Wish]:
        """What was added for these, in their order."""
        return {update_id: self._wishes.pop(update_id) for update_id in update_ids if update_id in self._wishes}


@audit_log.through(audit_log.Via.TELEGRAM)
def settle(wishes: dict[int, Wish], spoken: Mapping[int, str]) -> dict[str, Pressed]:
    """Submit the prompts, do what the buttons say and note all answers. Whoever does it once more finds the same jobs.

    spoken: in which language each update is answered.
    Returns what became of each press, by the id of its query: the toasts are shown at once and not noted.
    """
    asked: dict[int, services.Request] = {}
    decided: list[outbox.Decision] = []
    presses: dict[str, Pressed] = {}
    for update_id, wish in wishes.items():
        with languages.speaking(spoken[update_id]):
            if isinstance(wish, services.Request):
                asked[update_id] = wish
            elif isinstance(wish, Rewording):
                asked[update_id] = afterwards.reworded(wish.request, wish.message_id, wish.job)
            elif isinstance(wish, Move):
                # Those from before it must be there to be moved.
                decided += _submit(asked, spoken)
                services.chat_moved(wish.old_id, wish.new_id)
            elif isinstance(wish, Membership):
                decided += _submit(asked, spoken)
                moved = services.group_joined if wish.there else services.group_left
                moved(wish.chat_id, wish.title)
            elif isinstance(wish, GroupOff):
                _refuse_group(update_id, wish)
            elif isinstance(wish, AlbumPart):
                if inbox.speaks_for_album(update_id, wish.chat, wish.album):
                    decided.append(_decision(update_id, Answer(texts.send_text())))
            elif isinstance(wish, Ask | Edit):
                if any(request.person.user_id == wish.person.user_id for request in asked.values()):
                    decided += _submit(asked, spoken)
                decided += _answer(update_id, wish) if isinstance(wish, Ask) else _explain(update_id, wish)
            elif isinstance(wish, Press):
                if wish.action in LAST:
                    outbox.decide(decided + _submit(asked, spoken))
                    decided = []
                with transaction.atomic() if wish.action in NOTED else nullcontext():
                    pressed = presses[wish.query_id] = act(wish)
                    told = []
                    if pressed.announces is not None or pressed.shows:
                        told = [replace(_decision(update_id, pressed), announces=pressed.announces)]
                    if wish.action not in NOTED:
                        decided += told
                    elif told and not outbox.decide(told):
                        transaction.set_rollback(True)
            else:
                decided.append(_decision(update_id, Answer(wish) if isinstance(wish, str) else wish))
    outbox.decide(decided + _submit(asked, spoken))
    return presses


def _submit(asked: dict[int, services.Request], spoken: Mapping[int, str]) -> list[outbox.Decision]:
    """All of them, which are none then."""
    if not asked:
        return []
    outcomes = list(zip(asked.items(), services.submit_all(list(asked.values())), strict=True))
    asked.clear()
    decided: list[outbox.Decision] = []
    for (update_id, request), outcome in outcomes:
        if isinstance(outcome, services.Asked):
            decided.append(outbox.Decision(update_id, form=Form(asks=outcome.pk).dump()))
            continue
        if not isinstance(outcome, services.REFUSALS):
            decided.append(outbox.Decision(update_id, announces=outcome.pk))
            continue
        with languages.speaking(spoken[update_id]):
            answer = refusals.answer(outcome, request.person, request.place.chat_id if request.place else None)
        if answer is not None:
            decided.append(_decision(update_id, answer))
    return decided


def _refuse_group(update_id: int, wish: GroupOff) -> None:
    """Said once a day: noted with what is said, or not at all."""
    with transaction.atomic():
        first = groups.seen(wish.chat_id, wish.title).refuse()
        if first and not outbox.decide([outbox.Decision(update_id, texts.group_off())]):
            transaction.set_rollback(True)


def _answer(update_id: int, ask: Ask) -> list[outbox.Decision]:
    """What is still to be noted: what a command changed is noted with it, and repeated it changes no more."""
    if ask.command not in commands.CHANGES:
        return _told(update_id, commands.answer(ask))
    with transaction.atomic():
        if not outbox.decide(_told(update_id, commands.answer(ask))):
            transaction.set_rollback(True)
    return []


def _explain(update_id: int, edit: Edit) -> list[outbox.Decision]:
    answer = edits.answer(edit)
    return [] if answer is None else [_decision(update_id, answer)]


def _told(update_id: int, told: commands.Told) -> list[outbox.Decision]:
    if told is None:
        return []
    if isinstance(told, Announcement):
        return [outbox.Decision(update_id, announces=told.pk)]
    return [_decision(update_id, Answer(told) if isinstance(told, str) else told)]


def _decision(update_id: int, wish: Answer | Pressed) -> outbox.Decision:
    words, form = Form.of(wish)
    return outbox.Decision(update_id, words, form=form.dump())
