"""What the bot says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from telegram_bot.texts.refusals import either

COMMANDS = {
    "start": gettext_noop("What this bot does"),
    "hello": gettext_noop("The same"),
    "help": gettext_noop("What to write, with examples to tap"),
    "video": gettext_noop("Make a video from the text that follows"),
    "status": gettext_noop("Your videos on their way"),
    "history": gettext_noop("Your finished videos, to get them again"),
    "again": gettext_noop("Your last prompt once more, with another seed"),
    "cancel": gettext_noop("Stop your newest video, or all of them"),
    "usage": gettext_noop("What is left of today"),
    "settings": gettext_noop("How your videos are made"),
    "language": gettext_noop("In which language I answer"),
    "terms": gettext_noop("What you agree to when you use this bot"),
    "privacy": gettext_noop("What is kept of you, how long, and who sees it"),
    "export_me": gettext_noop("Everything that is kept of you, as a file"),
    "delete_me": gettext_noop("Delete everything that is kept of you"),
}


def greeting(words: str, draws: str = "", examples: Sequence[str] = ()) -> str:
    """The operator's greeting, what the loaded model can draw, and prompts to try."""
    # The one that is there from the beginning is translated; any other stays as the operator wrote it.
    parts = [_(words) if words else "", draws]
    if examples:
        parts.append(_("For example:") + "\n" + "\n".join(f"• {example}" for example in examples))
    return "\n\n".join(part for part in parts if part)


def command(name: str) -> str:
    """What it is for. Telegram shows it beside the command."""
    return _(COMMANDS[name])


def listed() -> str:
    return "\n".join(f"/{name}: {command(name)}" for name in COMMANDS)


def commands() -> str:
    return _("I do not know that command. There are:") + f"\n{listed()}\n" + _("Anything else you write is a prompt.")


def guide(draws: str = "", habits: str = "", flags: str = "", model: str = "", *, examples: bool = False) -> str:
    """Everything that is worth knowing, in one message. examples: there are some under it, as buttons."""
    begin = _("Write what the video should show, and you get a short video of it.")
    if examples:
        begin += " " + _("The buttons below are examples.")
    parts = [
        begin,
        f"{draws} {habits}".strip(),
        flags,
        listed(),
        model,
    ]
    return "\n\n".join(part for part in parts if part)


def model(name: str, licence: str) -> str:
    return _("The model is %(name)s, its licence %(licence)s.") % {"name": name, "licence": licence}


def flags(presets: Sequence[str], aspects: Sequence[str], lengths: Sequence[float], styles: Sequence[str] = ()) -> str:
    """What may stand behind a prompt, with what the model and the operator allow."""
    lines = [_("Behind your prompt you may write:"), "--seed 7: " + _("the same seed makes the same video again")]
    if len(aspects) > 1:
        lines.append(f"--ar {aspects[-1]}: " + _("the shape"))
    if len(lengths) > 1:
        lines.append(f"--seconds {lengths[-1]:g}: " + _("the length"))
    if len(presets) > 1:
        lines.append(f"--preset {presets[-1]}: " + _("how much care is taken: %(names)s") % {"names": either(presets)})
    if styles:
        lines.append(f"--style {styles[0]}: " + _("the style: %(names)s") % {"names": either([*styles, "none"])})
    lines += [
        "--no text, blur: " + _("what not to show"),
        "x2: " + _("two different videos, up to x4"),
    ]
    return "\n".join(lines)


def send_text() -> str:
    return _("I can only read text. Describe in words what the video should show.")


def video_needs_text() -> str:
    return _("Write what the video should show after /video.")


def trouble() -> str:
    return _("Something went wrong here, and your message was not handled. Please send it again later.")


def trouble_with_button() -> str:
    return _("Something went wrong here. Please try again later.")


def unknown_button() -> str:
    return _("This button no longer does anything.")


def not_yours() -> str:
    return _("Only the person who asked for this can use its buttons.")


def gone() -> str:
    return _("That does not exist any more.")


def for_several(words: str, messages: int) -> str:
    """One answer for messages that waited for the same one."""
    if messages == 1:
        return words
    number = ngettext(
        "(This answers your last %(number)d message.)", "(This answers your last %(number)d messages.)", messages
    )
    return words + "\n\n" + number % {"number": messages}
