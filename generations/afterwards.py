"""What people do with what they asked for when it is finished: once more, in other words, as a file, delete, report."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from generations import deleted_files, services, styles
from generations.engine.card import InvalidSpec
from generations.models import REPORT, UNFINISHED, Generation, Policy, Requester

# A second press within this time is a finger that slipped, not a second wish.
DOUBLE_PRESS = timedelta(seconds=3)
# Of the events that the requester makes.
AS_FILE, AS_GIF, REPORTED, EDITED = "asked for the file", "asked for a GIF", REPORT, "edited the message"


class AskedAlready(Exception):
    """The same is on its way, or was asked for a moment ago."""


class BegunAlready(Exception):
    """Rendered, or finished: nothing waits any more that could be changed."""


def repeat(
    generation: Generation,
    *,
    person: services.Person,
    request_key: str,
    place: services.Place | None,
    seed: Literal["same", "new"],
    seconds: float | None = None,
) -> Generation:
    """Whoever asked for it asks once more: a new row with its parent, which counts against the person's limits.

    seconds: of another length than it has.
    The same request_key returns the same row. Raises AskedAlready while such a row is unfinished, or younger than a
    double press takes; and what services.submit() raises.
    """
    with transaction.atomic():
        # Locked: of two presses at once, the second finds the first one's row.
        requester = services.remember(person)
        frames = generation.frames if seconds is None else round(seconds * generation.fps)
        own = generation.children.filter(requester=requester, created_by=None, prompt=generation.prompt, frames=frames)
        alike = own.filter(seed=generation.seed) if seed == "same" else own.exclude(seed=generation.seed)
        recent = Q(status__in=UNFINISHED) | Q(created_at__gt=timezone.now() - DOUBLE_PRESS)
        if alike.filter(recent).exclude(request_key=request_key).exists():
            raise AskedAlready
        same_seed = generation.seed if seed == "same" else None
        request = services.Request(person, generation.prompt, request_key, place, same_seed, as_typed=False)
        request = replace(request, translation=generation.translated_prompt)
        wanted = _like(generation, request)
        [outcome] = services.submit_all([replace(wanted, changes={**wanted.changes, "frames": frames})])
        if isinstance(outcome, Generation):
            return outcome
        raise outcome


def reworded(request: services.Request, message_id: int, pk: int | None) -> services.Request:
    """A prompt that answers a message: if that is a result of the same person, with the seed and settings of that.

    pk: the row that the message shows, where that is known. What flags in the prompt say wins, as always.
    """
    if request.place is None:
        return request
    shown = Q(chat_id=request.place.chat_id, delivered_message_id=message_id) if pk is None else Q(pk=pk)
    own = Generation.objects.filter(requester__user_id=request.person.user_id).exclude(status__in=UNFINISHED)
    row = own.filter(shown).order_by("-pk").first()
    try:
        return request if row is None else _like(row, replace(request, seed=row.seed))
    except services.REFUSALS:
        # The model cannot be read: submit() says so.
        return request


def first_of_message(user_id: int, chat_id: int, message_id: int | None) -> Generation | None:
    """What a person's message asked for, of several results the first."""
    own = Generation.objects.filter(requester__user_id=user_id, chat_id=chat_id, prompt_message_id=message_id)
    return own.filter(request_key__startswith="update:").order_by("pk").first()


def in_other_words(
    generation: Generation, *, person: services.Person, prompt: str, request_key: str, place: services.Place
) -> Generation:
    """Cancel what waits, with the other results of its message, and submit these words instead.

    The same request_key returns the same row. Raises BegunAlready, and what services.submit() raises; then nothing is
    cancelled.
    """
    request = services.Request(person, prompt, request_key, place)
    if generation.parent_id is not None:
        request = replace(_like(generation, replace(request, seed=generation.seed)), parent_id=generation.parent_id)
    with transaction.atomic():
        services.remember(person)
        known = Generation.objects.filter(request_key=request_key).first()
        if known is not None:
            return known
        others = Generation.objects.filter(request_key__startswith=f"{generation.request_key}/")
        for row in [generation, *others.filter(status__in=UNFINISHED)]:
            # One that a worker took just now is asked to stop, which the exception undoes.
            if row.is_begun or not row.cancel(actor="requester") or row.cancel_requested_at is not None:
                raise BegunAlready
        [outcome] = services.submit_all([request])
        if isinstance(outcome, Generation):
            return outcome
        raise outcome


def ask_once(generation: Generation, kind: str, *, key: str) -> bool:
    """Note in its timeline that the requester asked for something that there is once. False: asked for before.

    The same key is the same request.
    """
    with transaction.atomic():
        Requester.objects.select_for_update().get(pk=generation.requester_id)
        asked = generation.events.filter(kind=kind).first()
        if asked is None:
            generation.record(kind, actor="requester", detail=key)
        return asked is None or asked.detail == key


def delete_video(generation: Generation, *, by: str) -> bool:
    """The files go, the row keeps its history. False when there is none, or somebody is just sending it."""
    names = [name for name in (generation.file.name, generation.poster.name) if name]
    with transaction.atomic():
        deleted = generation.delete_video(actor=by)
        if deleted:
            transaction.on_commit(lambda: deleted_files.delete(names))
    return deleted


def _like(generation: Generation, request: services.Request) -> services.Request:
    """With all the settings of that row; its preset only as long as people may choose that. Raises EngineError."""
    card, spec = services.model_card(), generation.asked()
    own = {"prompt", "seed", "preset"}
    changes: dict[str, Any] = {name: value for name, value in vars(spec).items() if name not in own}
    preset: str | None = spec.preset
    try:
        services.chosen_preset(preset, generation.requester.entitlement(Policy.current()), card)
        usual = card.spec(spec.prompt, seed=0, preset=preset).steps
    except InvalidSpec:
        preset, usual = None, spec.steps
    if spec.steps == usual:
        # They belong to the preset, which a flag may change.
        del changes["steps"]
    styling = styles.Styling.of(generation)
    return replace(request, preset=preset, changes=changes, styling=styling, parent_id=generation.pk)
