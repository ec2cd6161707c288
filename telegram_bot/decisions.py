"""What the handlers want for the updates they were given, decided together: a flood costs little that way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generations import services

from . import outbox, texts
from .actions import act
from .buttons import Answer, Form, Press, Pressed

# Under this name in the application's bot_data.
DECISIONS = "decisions"


@dataclass(frozen=True)
class Move:
    """A group goes on under another id."""

    old_id: int
    new_id: int


# A prompt to submit, an answer or only its words, a button's action, or a move.
Wish = services.Request | Answer | str | Press | Move


class Decisions:
    """Wishes by update, in their order. Handlers add them, the consumer takes them."""

    def __init__(self) -> None:
        self._wishes: dict[int, Wish] = {}

    @classmethod
    def of(cls, bot_data: dict[str, Any]) -> Decisions:
        """Those of this application."""
        decisions: Decisions = bot_data.setdefault(DECISIONS, cls())
        return decisions

    def add(self, update_id: int, wish: Wish) -> None:
        self._wishes[update_id] = wish

    def take(self, update_ids: list[int]) -> dict[int, Wish]:
        """What was added for these, in their order."""
        return {update_id: self._wishes.pop(update_id) for update_id in update_ids if update_id in self._wishes}


def settle(wishes: dict[int, Wish]) -> dict[str, Pressed]:
    """Submit the prompts, do what the buttons say and note all answers. Whoever does it once more finds the same jobs.

    Returns what became of each press, by the id of its query: the toasts are shown at once and not noted.
    """
    asked = {update_id: wish for update_id, wish in wishes.items() if isinstance(wish, services.Request)}
    outcomes = dict(zip(asked, services.submit_all(list(asked.values())), strict=True)) if asked else {}
    decided: list[outbox.Decision] = []
    presses: dict[str, Pressed] = {}
    for update_id, wish in wishes.items():
        if isinstance(wish, Move):
            # After the prompts: those from before it are already there to be moved.
            services.chat_moved(wish.old_id, wish.new_id)
        elif isinstance(wish, Press):
            pressed = presses[wish.query_id] = act(wish)
            if pressed.announces is not None:
                decided.append(outbox.Decision(update_id, announces=pressed.announces))
            elif pressed.shows:
                decided.append(_decision(update_id, pressed))
        elif isinstance(wish, Answer | str):
            decided.append(_decision(update_id, Answer(wish) if isinstance(wish, str) else wish))
        else:
            outcome = outcomes[update_id]
            if isinstance(outcome, services.REFUSALS):
                decided.append(outbox.Decision(update_id, texts.refusal(outcome)))
            else:
                decided.append(outbox.Decision(update_id, announces=outcome.pk))
    outbox.decide(decided)
    return presses


def _decision(update_id: int, wish: Answer | Pressed) -> outbox.Decision:
    words, form = Form.of(wish)
    return outbox.Decision(update_id, words, form=form.dump())
