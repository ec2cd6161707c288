"""What a refused prompt is answered with: the reason, and where there is something to do about it, a button.

In a group only a short word, once a day for each person: the others are there for something else.
"""

from __future__ import annotations

from generations import access, services
from generations.limits import LimitReached

from . import access_requests, lease, terms, texts
from .buttons import Answer, Press, Pressed

# Who it is that is refused, whatever the prompt.
PERSONAL = {"invite", "ask", "terms"}


def answer(refusal: services.Refusal, person: services.Person, chat_id: int | None) -> Answer | None:
    """None: nothing more is said."""
    if not isinstance(refusal, LimitReached) or refusal.rule not in {"banned", *PERSONAL}:
        return Answer(texts.refusal(refusal))
    if refusal.rule == "banned":
        return Answer(_ban(refusal, person))
    if chat_id == person.user_id:
        return terms.before_prompt(person) if refusal.rule == "terms" else stranger(person, refusal.rule)
    if not access.told_why(person.user_id):
        return None
    if refusal.rule == "terms":
        return Answer(texts.terms_in_group(lease.username(), is_chat=person.user_id < 0))
    return Answer(texts.access_in_group(lease.username()))


def pressed(refusal: services.Refusal, press: Press) -> Pressed:
    """The same for a button, under which there is room for a few words only."""
    if not isinstance(refusal, LimitReached) or refusal.rule not in {"banned", *PERSONAL}:
        return Pressed(texts.refusal(refusal), alert=True)
    if refusal.rule == "banned":
        return Pressed(_ban(refusal, press.person), alert=True)
    if press.chat_id != press.person.user_id:
        return Pressed(texts.limit(refusal), alert=True)
    more = terms.before_prompt(press.person) if refusal.rule == "terms" else stranger(press.person, refusal.rule)
    return Pressed(texts.limit(refusal), sends=more)


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


def _ban(refusal: LimitReached, person: services.Person) -> str:
    """The reason once a day, and shortly otherwise."""
    return texts.limit(refusal) if access.told_why(person.user_id) else texts.banned()
