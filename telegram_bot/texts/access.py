"""Who is let in, and the terms."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from telegram_bot.texts.refusals import banned

# In a link to the bot, which sends it back behind /start.
TERMS_LINK = "terms"


def invitation_needed() -> str:
    return _(
        "This bot is by invitation. Open an invitation link for it, or ask whoever told you of it to get you one. "
        "Until then I cannot take prompts from you."
    )


def access_needed() -> str:
    return _(
        "I take prompts only from people whom the operators of this bot have let in. Press the button to ask them; "
        "they see your name, user name and number."
    )


def access_asked() -> str:
    return _("The operators have been asked to let you in. You will read here what they decide.")


def access_granted() -> str:
    return _("You have access. Write what the video should show.")


def granted(videos: int) -> str:
    words = ngettext("You may have %(number)d video more today.", "You may have %(number)d videos more today.", videos)
    return words % {"number": videos}


def access_denied(again: datetime | None) -> str:
    words = _("The operators have not given you access.")
    if again is None:
        return words
    # Day and month without the year, in Django's format letters.
    date = date_format(timezone.localtime(again), _("j F"))
    return words + " " + _("You may ask again from %(day)s.") % {"day": date}


def access_in_group(username: str) -> str:
    """In a group there is no button: whoever wants access asks in private."""
    words = _("I take prompts only from people who have access.")
    return words + " " + _in_private(username)


def invited() -> str:
    return _("Welcome! Your invitation is accepted.")


def invitation_unusable(why: str) -> str:
    words = {
        "unknown": _("I do not know this invitation. Is the link complete?"),
        "revoked": _("This invitation does not count any more. Please ask for another one."),
        "expired": _("This invitation has expired. Please ask for another one."),
        "used up": _("This invitation has been used up. Please ask for another one."),
        "banned": banned(),
    }
    return words[why]


def button_ask_for_access() -> str:
    return _("Request access")


def terms_first(words: str) -> str:
    """The operator's terms, and what becomes of the prompt that they answer."""
    return words + "\n\n" + _("Please accept these terms. Your message is kept, and handled when you do.")


def terms_in_group(username: str, *, is_chat: bool) -> str:
    if is_chat:
        return _("There are terms to accept, which only a person can. Please write under your own name.")
    return _("There are terms to accept before I take prompts from you.") + " " + _in_private(username, TERMS_LINK)


def terms_accepted(kept: int) -> str:
    """kept: messages that waited for it."""
    if not kept:
        return _("You have accepted the terms. Write what the video should show.")
    return ngettext(
        "You have accepted the terms. Your message is handled now.",
        "You have accepted the terms. Your messages are handled now.",
        kept,
    )


def terms_changed() -> str:
    return _("The terms have changed since. Please accept the new ones.")


def no_terms() -> str:
    return _("This bot has no terms of its own.")


def button_accept() -> str:
    return _("Accept")


def _in_private(username: str, payload: str = "") -> str:
    """username: the bot's own, where it is known."""
    if not username:
        return _("Write to me in private.")
    link = f"https://t.me/{username}" + (f"?start={payload}" if payload else "")
    return _("Write to me in private: %(link)s") % {"link": link}
