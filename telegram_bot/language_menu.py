"""/language: in which language the bot answers, as a menu of buttons."""

from __future__ import annotations

from generations import services

from . import languages, texts
from .asking import Ask
from .buttons import Action, Answer, Button, Keyboard, Press, Pressed, callback

# What a button carries instead of a language.
AS_TELEGRAM = "auto"


def language(ask: Ask) -> Answer:
    """The menu as it is now."""
    user_id = ask.person.user_id
    chosen, _ = services.languages_of({user_id}).get(user_id, ("", ""))
    return Answer(*_menu(user_id, chosen))


def choose(press: Press) -> Pressed:
    """The answer comes in the new language already. The buttons work for whom the menu was made."""
    if not press.arguments or press.arguments[0] != str(press.person.user_id):
        raise services.NotYours
    wanted = press.arguments[1] if len(press.arguments) > 1 else ""
    if wanted not in {AS_TELEGRAM, *languages.NAMES}:
        return Pressed(texts.not_on_offer())
    chosen = "" if wanted == AS_TELEGRAM else wanted
    services.choose_language(press.person, chosen)
    with languages.speaking(languages.of(chosen, press.person.language_code)):
        words, keyboard = _menu(press.person.user_id, chosen)
        return Pressed(texts.settings_saved(), text=words, keyboard=keyboard)


def _menu(user_id: int, chosen: str) -> tuple[str, Keyboard]:
    labels = {**languages.NAMES, AS_TELEGRAM: texts.button_as_telegram()}
    now = chosen if chosen in languages.NAMES else AS_TELEGRAM
    buttons = [
        Button(texts.chosen(label) if code == now else label, callback("language", user_id, code))
        for code, label in labels.items()
    ]
    return texts.language(), [buttons[start : start + 2] for start in range(0, len(buttons), 2)]


ACTIONS: dict[str, Action] = {"language": choose}
