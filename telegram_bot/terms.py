"""The operator's terms: shown with a button before the first prompt is taken, and again when they have changed.

A prompt that is answered with them is kept: once they are accepted it is handled as if it came just then.
"""

from __future__ import annotations

from generations import access

from . import outbox, texts
from .asking import Ask
from .buttons import Action, Answer, Button, Keyboard, Press, Pressed, callback

# Under what a prompt was answered; the other is under the terms alone, which nobody needs to see again.
KEPT, SHOWN = "terms", "accept"
# How the button begins, wherever a form holds it.
MARK = f'"{KEPT}:'


def show(ask: Ask) -> Answer | str:
    """/terms. In a group without the button: who accepts does so in private."""
    words, version = access.terms()
    if not words:
        return texts.no_terms()
    owes = access.owes_terms(ask.person.user_id) and ask.place.chat_id == ask.person.user_id
    return Answer(words, _button(SHOWN, version)) if owes else words


def before_prompt() -> Answer:
    """Instead of taking a prompt, which is kept."""
    words, version = access.terms()
    return Answer(texts.terms_first(words), _button(KEPT, version))


def accept(press: Press) -> Pressed:
    """Prompts that waited for this are handled now."""
    person = press.person
    if access.owes_terms(person.user_id) and not access.accept_terms(person, press.number() or 0):
        words, version = access.terms()
        return Pressed(texts.terms_changed(), alert=True, sends=Answer(words, _button(SHOWN, version)))
    kept = outbox.reopen(person.user_id, MARK)
    return Pressed(texts.terms_accepted(kept), text=texts.terms_accepted(kept))


def _button(action: str, version: int) -> Keyboard:
    return [[Button(texts.button_accept(), callback(action, version))]]


ACTIONS: dict[str, Action] = {KEPT: accept, SHOWN: accept}
