"""What a refused prompt is answered with: the reason, and where there is something to do about it, a button.

In a group only a short word, once a day for each person: the others are there for something else.
"""

from __future__ import annotations

from dataclasses import replace

from generations import access, services
from generations.limits import LimitReached

from . import access_requests, lease, terms, texts
from .buttons import Answer, Press, Pressed

# Rules about who it is, whatever the prompt. They are answered in a way of their own.
PERSONAL = {"banned", "invite", "ask", "terms"}


def answer(refusal: services.Refusal, person: services.Person, chat_id: int | None) -> Answer | None:
    """None: nothing more is said."""
    rule = refusal.rule if isinstance(refusal, LimitReached) else ""
    if rule not in PERSONAL:
        return Answer(texts.refusal(refusal), refusal=rule)
    if rule == "banned":
        # The reason once a day; shortly otherwise, which is not to take its place in the same notice.
        in_full = access.told_why(person.user_id)
        return (
            Answer(texts.refusal(refusal), refusal=rule) if in_full else Answer(texts.banned(), refusal="still banned")
        )
    if chat_id == person.user_id:
        return replace(_what_to_do(rule, person), refusal=rule)
    if not access.told_why(person.user_id):
        return None
    if rule == "terms":
        return Answer(texts.terms_in_group(lease.username(), is_chat=person.user_id < 0))
    return Answer(texts.access_in_group(lease.username()))


def pressed(refusal: services.Refusal, press: Press) -> Pressed:
    """The same for a button, under which there is room for a few words only."""
    rule = refusal.rule if isinstance(refusal, LimitReached) else ""
    if rule == "banned" and not access.told_why(press.person.user_id):
        return Pressed(texts.banned(), alert=True)
    words = texts.refusal(refusal)
    if rule in PERSONAL - {"banned"} and press.chat_id == press.person.user_id:
        return Pressed(words, sends=_what_to_do(rule, press.person))
    return Pressed(words, alert=True)


def stranger(person: services.Person, rule: str) -> Answer:
    """How to be let in, or how long that takes. In private."""
    if rule == "invite":
        return Answer(texts.invitation_needed())
    state, again = access_requests.standing(person.user_id)
    if state == access_requests.State.OPEN:
        return Answer(texts.access_asked())
    if state == access_requests.State.DENIED:
        return Answer(texts.access_denied(again))
    return Answer(texts.access_needed(), access_requests.button())


def _what_to_do(rule: str, person: services.Person) -> Answer:
    return terms.before_prompt() if rule == "terms" else stranger(person, rule)
