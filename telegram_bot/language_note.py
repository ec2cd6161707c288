"""The question before a prompt is queued that the model will hardly understand, and its buttons.

The prompt waits in the database, so the buttons work after a restart and for asked.KEEP.
"""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.utils import timezone

from generations import asked, services

from . import delivery, refusals, texts
from .buttons import Action, Button, Keyboard, Press, Pressed, callback
from .translator import translate


async def compose(pk: int) -> tuple[str, Keyboard | None]:
    """The words and the buttons, when their turn to be sent comes. No words when the prompt waits no longer."""
    question = await sync_to_async(asked.question)(pk)
    if question is None:
        return "", None
    translation = question.translation
    if not translation and (fresh := await translate(question.prompt, question.language_code)):
        translation = await sync_to_async(asked.keep_translation)(pk, fresh)
    drop = Button(texts.button_cancel(), callback("drop", pk))
    if not translation:
        return texts.english_only(), [[Button(texts.button_anyway(), callback("anyway", pk)), drop]]
    buttons = [
        [Button(texts.button_translated(), callback("translated", pk))],
        [Button(texts.button_as_typed(), callback("anyway", pk)), drop],
    ]
    return texts.english_only_translated(translation), buttons


def anyway(press: Press) -> Pressed:
    return _make(press, translated=False)


def translated(press: Press) -> Pressed:
    return _make(press, translated=True)


def drop(press: Press) -> Pressed:
    asked.drop(press.person, _number(press))
    return Pressed(text=texts.not_queued())


def _make(press: Press, *, translated: bool) -> Pressed:
    """The question becomes the status message."""
    deliver_after = timezone.now() + delivery.ANNOUNCEMENT
    try:
        row = asked.make(press.person, _number(press), translated=translated, deliver_after=deliver_after)
    except services.REFUSALS as refusal:
        return refusals.pressed(refusal, press)
    if row.is_finished:
        return Pressed(texts.finished_already())
    return Pressed(texts.queued_again(), announces=row.pk, announces_here=True)


def _number(press: Press) -> int:
    number = press.number()
    if number is None:
        raise services.Gone
    return number


ACTIONS: dict[str, Action] = {"anyway": anyway, "translated": translated, "drop": drop}
