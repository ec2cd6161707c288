"""/start and /hello: the operator's greeting, what the loaded model can draw, and for strangers how to be let in."""

from __future__ import annotations

import re

from generations import access, services

from . import inline, invitations, refusals, terms, texts
from .asking import Ask
from .buttons import Answer

# What may stand behind t.me/bot?start=
PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")


def hello(ask: Ask) -> Answer | str:
    if ask.place.chat_id != ask.person.user_id:
        return _greeting()
    closed = access.closed_to(ask.person.user_id)
    if not closed:
        return _greeting()
    how = refusals.stranger(ask.person, closed)
    return Answer(f"{texts.greeting(services.greeting())}\n\n{how.text}", how.keyboard)


def start(ask: Ask) -> Answer | str:
    """With a code behind it when it comes from a link."""
    code = ask.words.strip()
    if ask.place.chat_id != ask.person.user_id or not PAYLOAD.fullmatch(code) or code == inline.START:
        return hello(ask)
    if code == texts.TERMS_LINK:
        return terms.show(ask)
    try:
        if not invitations.redeem(ask.person, code):
            return hello(ask)
    except invitations.Unusable as error:
        words, closed = texts.invitation_unusable(error.why), access.closed_to(ask.person.user_id)
        # Where one may ask, that is another way in.
        return Answer(words, refusals.stranger(ask.person, closed).keyboard if closed else None)
    return f"{texts.invited()}\n\n{_greeting()}"


def _greeting() -> str:
    words = services.greeting()
    try:
        card = services.model_card()
    except services.REFUSALS:
        return texts.greeting(words)
    return texts.greeting(words, card.draws, card.examples[:3])
