"""/help: what to type, what the loaded model can and cannot do, and prompts to tap."""

from __future__ import annotations

import zlib

from django.utils import timezone

from generations import personal, services

from . import delivery, refusals, texts
from .asking import Ask
from .buttons import Action, Answer, Button, Press, Pressed, callback

EXAMPLES = 6


def guide(ask: Ask) -> Answer:
    """Of a model whose folder cannot be read only the commands are known."""
    try:
        card, (offered, _) = services.model_card(), services.settings_of(ask.person.user_id)
    except services.REFUSALS:
        return Answer(texts.guide())
    flags = texts.flags(offered.presets, offered.aspects, offered.lengths, list(offered.styles))
    about = texts.model(card.name, card.licence)
    words = texts.guide(card.draws, card.habits, flags, about, examples=bool(card.examples))
    buttons = [[Button(example, callback("example", _mark(example)))] for example in card.examples[:EXAMPLES]]
    return Answer(words, buttons)


def example(press: Press) -> Pressed:
    """One of the loaded model's prompts, as if whoever pressed had typed it. Those of an earlier model are gone."""
    try:
        prompts = {_mark(prompt): prompt for prompt in services.model_card().examples}
        prompt = prompts.get(press.number() or 0)
        if prompt is None:
            return Pressed(texts.unknown_button())
        key = f"example:{press.query_id}"
        # A finger that slipped, not a second wish.
        alike = personal.unfinished(press.person.user_id, press.chat_id).filter(prompt=prompt).exclude(request_key=key)
        if alike.exists():
            return Pressed(texts.asked_already())
        place = services.Place(
            press.chat_id,
            prompt_message_id=press.message_id,
            deliver_after=timezone.now() + delivery.ANNOUNCEMENT,
        )
        row = services.submit(press.person, prompt, request_key=key, place=place)
    except services.REFUSALS as refusal:
        return refusals.pressed(refusal, press)
    return Pressed(texts.queued_again(), announces=row.pk)


def _mark(prompt: str) -> int:
    """Says which example a button is for, in a few bytes, whatever their order is by then."""
    return zlib.crc32(prompt.encode())


ACTIONS: dict[str, Action] = {"example": example}
