"""Which action each button names. A module with buttons has a table of its own, and joins it here."""

from __future__ import annotations

from generations import services

from . import (
    access_requests,
    edits,
    guide,
    history,
    job_buttons,
    language_menu,
    language_note,
    ops,
    privacy,
    review_requests,
    settings_menu,
    terms,
    texts,
)
from .buttons import Action, Press, Pressed

ACTIONS: dict[str, Action] = {
    **job_buttons.ACTIONS,
    **edits.ACTIONS,
    **history.ACTIONS,
    **guide.ACTIONS,
    **settings_menu.ACTIONS,
    **language_menu.ACTIONS,
    **privacy.ACTIONS,
    **language_note.ACTIONS,
    **ops.ACTIONS,
    **access_requests.ACTIONS,
    **review_requests.ACTIONS,
    **terms.ACTIONS,
}
# Those that are done when everything that came before them is noted.
LAST = privacy.LAST
# Those that are done and noted in one transaction: done again, they would find nothing to answer with.
NOTED = frozenset(language_note.ACTIONS)


def act(press: Press) -> Pressed:
    """Do what the button says. One that nobody knows any more, or that is somebody else's, says so."""
    action = ACTIONS.get(press.action)
    if action is None:
        return Pressed(texts.unknown_button())
    try:
        return action(press)
    except services.NotYours:
        return Pressed(texts.not_yours())
    except services.Gone:
        return Pressed(texts.gone())
