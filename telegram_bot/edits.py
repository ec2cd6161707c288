"""An edited prompt: Telegram shows the new words as if they had been asked for, so whoever edits is told that not."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from generations import afterwards, services

from . import delivery, inbox, refusals, texts
from .addressing import COMMAND
from .buttons import Action, Answer, Button, Press, Pressed, callback


@dataclass(frozen=True)
class Edit:
    """A message that is another one since. Decided after the prompts that the same person sent before it."""

    person: services.Person
    place: services.Place
    # As it is now.
    text: str
    update_id: int

    @property
    def key(self) -> str:
        return f"update:{self.update_id}"


def answer(edit: Edit) -> Answer | None:
    """Once per prompt; None for an edit of anything else, and for one that changed no words."""
    place = edit.place
    row = afterwards.first_of_message(edit.person.user_id, place.chat_id, place.prompt_message_id)
    if row is None or inbox.words_of(row.request_key) == edit.text:
        return None
    if not afterwards.ask_once(row, afterwards.EDITED, key=edit.key):
        return None
    # In a group the new words may hold the bot's name.
    if row.is_begun or place.chat_id < 0:
        return Answer(texts.edited())
    return Answer(
        texts.edited_in_time(), [[Button(texts.button_new_words(), callback("reword", row.pk, edit.update_id))]]
    )


def reword(press: Press) -> Pressed:
    """The prompt that waits is cancelled, and its new words are queued: those of the latest edit."""
    row = services.own_generation(press.person, press.number())
    words = inbox.edited_words(press.number(1) or 0)
    command = COMMAND.match(words)
    if command is not None:
        words = words[command.end() + 1 :] if command[1].lower() == "video" else ""
    place = services.Place(
        press.chat_id,
        thread_id=row.thread_id,
        prompt_message_id=row.prompt_message_id,
        deliver_after=timezone.now() + delivery.ANNOUNCEMENT,
    )
    try:
        # One row is replaced once, however often the button is pressed.
        new = afterwards.in_other_words(
            row, person=press.person, prompt=words, request_key=f"reworded:{row.pk}", place=place
        )
    except afterwards.BegunAlready:
        return Pressed(texts.begun_already(), alert=True)
    except services.REFUSALS as refusal:
        return refusals.pressed(refusal, press)
    return Pressed(texts.queued_again(), announces=new.pk)


ACTIONS: dict[str, Action] = {"reword": reword}
