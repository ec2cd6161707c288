"""Prompts that wait for their person's word, see services.Asked: queued after all, or forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from generations import flags, language, prompts, services, styles
from generations.models import AskedPrompt, Generation
from generations.services import Person, Place, Request

KEEP = timedelta(days=30)


@dataclass(frozen=True)
class Question:
    """What is asked about."""

    pk: int
    # Without its flags.
    prompt: str
    # Of the person, as the chat network tells it.
    language_code: str
    # "" while nobody has translated it.
    translation: str


def question(pk: int) -> Question | None:
    """None when it is decided."""
    row = AskedPrompt.objects.select_related("requester").filter(pk=pk).first()
    if row is None:
        return None
    return Question(pk, flags.parse(row.prompt)[0], row.requester.language_code, row.translation)


def keep_translation(pk: int, translation: str) -> str:
    """What the model could read in place of the prompt; "" when that would be no better."""
    try:
        words = prompts.clean(translation).strip()
    except prompts.PromptRefused:
        return ""
    if language.is_foreign(words) or not AskedPrompt.objects.filter(pk=pk).update(translation=words):
        return ""
    return words


def asker(pk: int) -> int | None:
    """Whose word it waits for."""
    return AskedPrompt.objects.filter(pk=pk).values_list("requester__user_id", flat=True).first()


def make(person: Person, pk: int, *, translated: bool, deliver_after: datetime) -> Generation:
    """Queue it, once: again it is the same row.

    Raises Gone, NotYours and what submit() raises; of a refusal it can be asked again.
    """
    key = f"asked:{pk}"
    with transaction.atomic():
        try:
            row = _own(person, pk)
        except services.Gone:
            made = Generation.objects.filter(request_key=key, requester__user_id=person.user_id).first()
            if made is None:
                raise
            return made
        place = Place(row.chat_id, row.thread_id, row.prompt_message_id, deliver_after)
        translation = row.translation if translated else ""
        wish = dict(row.wish)
        if wish["styling"] is not None:
            wish["styling"] = styles.Styling(**wish["styling"])
        if not Generation.objects.filter(pk=wish["parent_id"]).exists():
            # An operator may have deleted it meanwhile.
            wish["parent_id"] = None
        [outcome] = services.submit_all([Request(person, row.prompt, key, place, translation=translation, **wish)])
        if not isinstance(outcome, Generation):
            raise outcome
        row.delete()
        return outcome


def drop(person: Person, pk: int) -> None:
    """Nothing is made of it. Raises Gone and NotYours."""
    with transaction.atomic():
        _own(person, pk).delete()


def forget_old() -> int:
    """Nobody answers any more. Returns how many."""
    return AskedPrompt.objects.filter(created_at__lt=timezone.now() - KEEP).delete()[0]


def _own(person: Person, pk: int) -> AskedPrompt:
    """Locked: of two presses at once, the second finds what the first has made of it."""
    # The person first, as everywhere: else an erasure and this could wait for each other.
    services.remember(person)
    row = AskedPrompt.objects.select_for_update(of=("self",)).select_related("requester").filter(pk=pk).first()
    if row is None:
        raise services.Gone
    if row.requester.user_id != person.user_id:
        raise services.NotYours
    return row
