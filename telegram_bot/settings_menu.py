"""/settings: what a person wants for every prompt, as a menu of buttons. Kept in the database, capped by the policy."""

from __future__ import annotations

from collections.abc import Mapping

from generations import services

from . import texts
from .asking import Ask
from .buttons import Action, Answer, Button, Keyboard, Press, Pressed, callback

# Buttons beside each other; more cannot be read on a phone.
WIDE = 4
RESET = "reset"


def settings(ask: Ask) -> Answer | str:
    """The menu as it is now."""
    try:
        words, keyboard = _menu(ask.person.user_id)
    except services.REFUSALS as error:
        return texts.refusal(error)
    return Answer(words, keyboard)


def choose(press: Press) -> Pressed:
    """Set one of them, or all to the default. The buttons work for whom the menu was made."""
    if not press.arguments or press.arguments[0] != str(press.person.user_id):
        raise services.NotYours
    _, name, *rest = [*press.arguments, ""]
    # A shape has a colon of its own.
    value = ":".join(rest[:-1])
    try:
        done = services.reset_settings(press.person) if name == RESET else services.choose(press.person, name, value)
        words, keyboard = _menu(press.person.user_id)
    except services.REFUSALS as error:
        return Pressed(texts.refusal(error))
    # The menu of a month ago may offer what nobody may choose today: it is put right.
    toast = texts.settings_saved() if done else texts.not_on_offer()
    return Pressed(toast, text=words, keyboard=keyboard)


def _menu(user_id: int) -> tuple[str, Keyboard]:
    offered, chosen = services.settings_of(user_id)
    usual = offered.default
    # Name, title, what may be chosen by value, what is set, and whether that is the default.
    parts = [
        (
            "preset",
            texts.setting_preset(),
            {preset: preset for preset in offered.presets},
            chosen.preset or usual.preset,
            not chosen.preset,
        ),
        (
            "aspect",
            texts.setting_shape(),
            {aspect: aspect for aspect in offered.aspects},
            chosen.aspect or usual.aspect,
            not chosen.aspect,
        ),
        (
            "seconds",
            texts.setting_length(),
            {f"{length:g}": texts.seconds(length) for length in offered.lengths},
            f"{chosen.seconds or usual.seconds:g}",
            chosen.seconds is None,
        ),
        (
            "style",
            texts.setting_style(),
            {**offered.styles, services.NO_STYLE: texts.no_style()},
            chosen.style or services.NO_STYLE,
            not chosen.style,
        ),
        (
            "silent",
            texts.setting_sound(),
            {"no": texts.with_sound(), "yes": texts.silent()},
            "yes" if chosen.silent else "no",
            not chosen.silent,
        ),
        (
            "no_news",
            texts.setting_news(),
            {"no": texts.news_wanted(), "yes": texts.news_unwanted()},
            "yes" if chosen.no_news else "no",
            not chosen.no_news,
        ),
    ]
    if not offered.styles:
        parts = [part for part in parts if part[0] != "style"]
    keyboard = [
        row for name, _, values, now, _ in parts if len(values) > 1 for row in _rows(user_id, name, values, now)
    ]
    if not all(as_usual for *_, as_usual in parts):
        keyboard.append([Button(texts.button_as_default(), callback("settings", user_id, RESET))])
    lines = [(title, values.get(now, now), as_usual) for _, title, values, now, as_usual in parts]
    return texts.settings(lines), keyboard


def _rows(user_id: int, name: str, values: Mapping[str, str], now: str) -> list[list[Button]]:
    buttons = [
        Button(texts.chosen(label) if value == now else label, callback("settings", user_id, name, value))
        for value, label in values.items()
    ]
    return [buttons[start : start + WIDE] for start in range(0, len(buttons), WIDE)]


ACTIONS: dict[str, Action] = {"settings": choose}
