"""/ops: where the installation stands, and its lever. For operators; to anybody else there is no such command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING

from generations import operating, overview

from . import alerts, texts
from .asking import Ask
from .buttons import Action, Answer, Button, Keyboard, Press, Pressed, callback
from .operators import is_operators_chat, operator_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# As for the policy's form in the admin.
PAUSE = "generations.change_policy"


def ops(ask: Ask) -> Answer | str | None:
    """None: no answer, as to other unknown commands in a group."""
    user_id, chat_id = ask.whose
    if operator_of(user_id) is None:
        return texts.commands() if user_id == chat_id else None
    return Answer(*_panel(user_id, chat_id)) if is_operators_chat(chat_id, user_id) else None


def for_operators(permission: str) -> Callable[[Callable[[Press, User], Pressed]], Action]:
    """Whoever has lost the permission a moment ago, or was sent a copy of the button, does nothing with it."""

    def decorate(action: Callable[[Press, User], Pressed]) -> Action:
        @wraps(action)
        def checked(press: Press) -> Pressed:
            user_id = press.person.user_id
            if operator_of(user_id) is None or not is_operators_chat(press.chat_id, user_id):
                return Pressed(texts.unknown_button())
            user = operator_of(user_id, permission)
            return Pressed(texts.not_allowed(), alert=True) if user is None else action(press, user)

        return checked

    return decorate


@for_operators("generations.view_generation")
def refresh(press: Press, user: User) -> Pressed:
    return _shown(press)


@for_operators(PAUSE)
def pause(press: Press, user: User) -> Pressed:
    return _shown(press, texts.paused_now() if operating.pause(by=user) else texts.paused_already())


@for_operators(PAUSE)
def resume(press: Press, user: User) -> Pressed:
    return _shown(press, texts.resumed_now() if operating.resume(by=user) else texts.resumed_already())


def _shown(press: Press, toast: str = "") -> Pressed:
    words, keyboard = _panel(press.person.user_id, press.chat_id)
    return Pressed(toast, text=words, keyboard=keyboard)


def _panel(user_id: int, chat_id: int) -> tuple[str, Keyboard]:
    seen = overview.now()
    buttons = [Button(texts.button_refresh(), callback("ops"))]
    # In a chat of several one of them may.
    if chat_id != user_id or operator_of(user_id, PAUSE) is not None:
        lever = (texts.button_resume(), "ops_resume") if seen.paused else (texts.button_pause(), "ops_pause")
        buttons.append(Button(lever[0], callback(lever[1])))
    return texts.ops(seen, alerts.lasting()), [buttons]


ACTIONS: dict[str, Action] = {"ops": refresh, "ops_pause": pause, "ops_resume": resume}
