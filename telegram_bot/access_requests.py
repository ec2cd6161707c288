"""Strangers who ask to be let in, and operators who decide it, in the chat or in the admin: one of them, once."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from generations import access, audit_log, services

from . import bulletins, languages, texts
from .buttons import Action, Button, Keyboard, Press, Pressed, callback
from .models import AccessRequest
from .operators import operator_chats, operator_of

State = AccessRequest.State

DECIDE = "telegram_bot.change_accessrequest"
# Whoever was denied may ask again after this time.
ASK_AGAIN = timedelta(days=7)


def button() -> Keyboard:
    return [[Button(texts.button_ask_for_access(), callback("ask_access"))]]


def standing(user_id: int) -> tuple[State | None, datetime | None]:
    """The request that keeps this person from asking, by its state, and from when that may be done again."""
    last = AccessRequest.objects.filter(requester__user_id=user_id).first()
    if last is None or last.state == State.GRANTED:
        return None, None
    if last.state == State.OPEN:
        return State.OPEN, None
    again = (last.decided_at or last.created_at) + ASK_AGAIN
    return (State.DENIED, again) if again > timezone.now() else (None, None)


def ask(press: Press) -> Pressed:
    """One open request per person. Pressed again, it says how things are."""
    with transaction.atomic():
        # Locked: of two presses the second finds the first one's request.
        requester = services.remember(press.person)
        if requester.is_banned:
            return Pressed(texts.banned())
        closed, (state, again) = access.closed_to(press.person.user_id), standing(press.person.user_id)
        if not closed:
            return Pressed(texts.access_granted(), alert=True)
        if closed != "ask":
            return Pressed(texts.invitation_needed(), alert=True)
        if state == State.OPEN:
            return Pressed(texts.access_asked(), alert=True)
        if state == State.DENIED:
            return Pressed(texts.access_denied(again), alert=True)
        request = AccessRequest.objects.create(requester=requester)
        for chat_id, language in languages.of_chats(operator_chats(DECIDE)).items():
            with languages.speaking(language):
                # As it is stored: the name that came may hold what no database takes.
                words = texts.access_request(requester.display_name, requester.username, requester.user_id)
                bulletins.tell(topic(request.pk), chat_id, words, _decisions(request.pk), about=requester.user_id)
    return Pressed(texts.access_asked(), text=texts.access_asked())


def decide(pk: int, *, granted: bool, by: AbstractBaseUser) -> tuple[AccessRequest, bool]:
    """Let the person in or not, and say so to all who wait for it. False when it was decided before. Raises Gone.

    Whoever has got access in another way meanwhile is not denied it here.
    """
    with transaction.atomic():
        request = AccessRequest.objects.select_related("requester").filter(pk=pk).first()
        if request is None:
            raise services.Gone
        requester = request.requester
        granted = granted or requester.admitted_at is not None
        if not request.decide(State.GRANTED if granted else State.DENIED, by):
            return request, False
        if granted:
            access.admit(requester)
        decided: audit_log.Action = "access given" if granted else "access denied"
        audit_log.write(decided, request, by=by, before={"state": State.OPEN}, after={"state": request.state})
        _tell_outcome(request, by)
        with languages.speaking(languages.of(requester.language, requester.language_code)):
            words = texts.access_granted() if granted else texts.access_denied(timezone.now() + ASK_AGAIN)
        bulletins.tell(f"{topic(pk)}:outcome", requester.user_id, words, about=requester.user_id)
    return request, True


def settled_by_invitation(requester_pk: int) -> None:
    """Nobody needs to decide any more."""
    for request in AccessRequest.objects.select_related("requester").filter(requester=requester_pk, state=State.OPEN):
        if request.decide(State.GRANTED, None):
            _tell_outcome(request, None)


def of_person(user_id: int) -> list[dict[str, object]]:
    """For whoever wants to see all that is kept."""
    rows = AccessRequest.objects.filter(requester__user_id=user_id).order_by("pk")
    return [{"at": row.created_at, "state": row.state, "decided_at": row.decided_at} for row in rows]


def topic(pk: int) -> str:
    return f"access:{pk}"


def approve(press: Press) -> Pressed:
    return _decided(press, granted=True)


def deny(press: Press) -> Pressed:
    return _decided(press, granted=False)


def _decided(press: Press, *, granted: bool) -> Pressed:
    """Asked of the database at every press: who may is no matter of who sees the button."""
    operator, pk = operator_of(press.person.user_id, DECIDE), press.number()
    if operator is None:
        return Pressed(texts.not_an_operator(), alert=True)
    if pk is None:
        raise services.Gone
    bulletins.seen(topic(pk), press.chat_id, press.message_id)
    request, first = decide(pk, granted=granted, by=operator)
    words = texts.access_decided(request.state == State.GRANTED, _name(request.decided_by))
    return Pressed(words, alert=not first and request.decided_by != operator)


def _tell_outcome(request: AccessRequest, by: AbstractBaseUser | None) -> None:
    """In every chat where operators were asked; the buttons go."""
    person = request.requester
    for chat_id, language in languages.of_chats(bulletins.chats(topic(request.pk))).items():
        with languages.speaking(language):
            words = texts.access_request(person.display_name, person.username, person.user_id)
            outcome = texts.access_decided(request.state == State.GRANTED, _name(by))
        bulletins.retell(topic(request.pk), f"{words}\n\n{outcome}", chat_id=chat_id)


def _name(operator: AbstractBaseUser | None) -> str:
    return operator.get_username() if operator is not None else ""


def _decisions(pk: int) -> Keyboard:
    return [[Button(texts.button_approve(), callback("admit", pk)), Button(texts.button_deny(), callback("deny", pk))]]


ACTIONS: dict[str, Action] = {"ask_access": ask, "admit": approve, "deny": deny}
