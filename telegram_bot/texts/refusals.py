"""Why something is not made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from generations.engine.card import InvalidSpec
from generations.limits import LimitReached
from generations.prompts import MAX_CHARACTERS, PromptRefused
from telegram_bot.texts.progress import failed


def refusal(error: Exception) -> str:
    """Why there will be no video, in words for the person."""
    if isinstance(error, LimitReached):
        return limit(error)
    if isinstance(error, PromptRefused) and error.rule == "empty":
        return _("There is no text to make a video from. Describe in words what the video should show.")
    if isinstance(error, PromptRefused) and error.rule == "too_long":
        return _("That is too long: a prompt may have %(limit)d characters.") % {"limit": MAX_CHARACTERS}
    if isinstance(error, PromptRefused) and error.rule == "only_flags":
        return _("There are only flags here, and no text to make a video from. Put them behind your prompt.")
    if isinstance(error, InvalidSpec):
        return invalid(error)
    # An engine's error keeps its public words apart; the others are made for people.
    return failed(str(getattr(error, "public_reason", error)))


def invalid(error: InvalidSpec) -> str:
    """A flag or a setting that cannot be, and what it could be instead: generations.engine.card.PROBLEMS."""
    words = {
        "setting": _("There is no setting called %(name)s."),
        "whole": _("%(name)s must be a whole number from %(low)s to %(high)s, not %(value)s."),
        "number": _("%(name)s must be a number from %(low)s to %(high)s, not %(value)s."),
        "multiple": _("%(name)s must be a multiple of %(multiple)s from %(low)s to %(high)s, not %(value)s."),
        "choice": _("%(name)s must be %(choices)s, not %(value)s."),
        "pixels": _("%(name)s: width times height may be %(most)s at most, not %(value)s."),
        "aspect": _("%(name)s must be width:height, such as %(choices)s, not %(value)s."),
        "size": _(
            "%(name)s must be WIDTHxHEIGHT in multiples of %(multiple)s from %(low)s to %(high)s, not %(value)s."
        ),
        "missing": _("%(name)s needs a value."),
        "unknown": _("There is no flag %(name)s. There are %(choices)s."),
        "near": _("There is no flag %(name)s. Did you mean %(suggestion)s?"),
        "nothing": _("%(name)s: there is nothing to choose from here."),
        "together": _("%(name)s and %(other)s say the same thing twice; choose one of them."),
        "several": _("%(name)s asks for several videos; here it is one at a time."),
    }
    facts = {name: either(fact) if name == "choices" else fact for name, fact in error.facts.items()}
    return words[error.problem] % facts


def either(names: Sequence[str]) -> str:
    """a, b or c."""
    *others, last = names
    if not others:
        return last
    return _("%(names)s or %(last)s") % {"names": ", ".join(others), "last": last}


def shortfall(asked: int, accepted: int, refusal: LimitReached) -> str:
    """Of several videos that were asked for in one message, fewer could be taken."""
    words = ngettext(
        "%(accepted)d of the %(asked)d videos is accepted.",
        "%(accepted)d of the %(asked)d videos are accepted.",
        accepted,
    )
    return words % {"accepted": accepted, "asked": asked} + " " + limit(refusal)


def banned() -> str:
    return _("You may not use this bot.")


def limit(error: LimitReached) -> str:
    many = {"limit": error.limit}
    if error.rule == "banned":
        return f"{banned()} {error.reason}".strip()
    if error.rule in {"invite", "ask"}:
        return _("I take prompts only from people who have access.")
    if error.rule == "terms":
        return _("Please accept the terms first; /terms shows them.")
    if error.rule == "paused":
        words = _("No new prompts are taken right now.")
        return f"{words} {error.reason or _('Please try again later.')}"
    if error.rule == "closed":
        words = error.reason or _("No prompts are taken at this time of day.")
        return f"{words} {opens(error.retry_at)}".strip()
    if error.rule == "blocked":
        return f"{_('This prompt is not allowed here.')} {error.reason}".strip()
    if error.rule == "daily":
        words = ngettext(
            "You have used your %(limit)d video of today: 0 of %(limit)d left.",
            "You have used your %(limit)d videos of today: 0 of %(limit)d left.",
            error.limit,
        )
        return f"{words % many} {resets(error.retry_at)}".strip()
    if error.rule == "hourly":
        words = ngettext(
            "You have used your %(limit)d video of this hour.",
            "You have used your %(limit)d videos of this hour.",
            error.limit,
        )
        return f"{words % many} {resets(error.retry_at)}".strip()
    if error.rule == "group_off":
        return group_off()
    if error.rule == "group_daily":
        words = ngettext(
            "This group has used its %(limit)d video of today: 0 of %(limit)d left.",
            "This group has used its %(limit)d videos of today: 0 of %(limit)d left.",
            error.limit,
        )
        return f"{words % many} {resets(error.retry_at)}".strip()
    if error.rule == "asked":
        words = ngettext(
            "%(limit)d prompt of yours waits for your word.",
            "%(limit)d prompts of yours wait for your word.",
            error.limit,
        )
        return words % many + " " + _("Press one of the buttons under my questions first.")
    if error.rule == "waiting":
        words = ngettext(
            "You have %(limit)d unfinished video, as many as one person may have at a time.",
            "You have %(limit)d unfinished videos, as many as one person may have at a time.",
            error.limit,
        )
        return words % many + " " + _("Send this again when one of them is done.")
    if error.rule == "queue":
        words = ngettext(
            "The queue is full: %(limit)d prompt waits already. Please try again in a few minutes.",
            "The queue is full: %(limit)d prompts wait already. Please try again in a few minutes.",
            error.limit,
        )
        return words % many
    if error.rule == "storage":
        return _("There is no room for new videos right now. Please try again later.")
    again = resets(error.retry_at) or _("Please try again later.")
    return f"{_('That is more than is allowed here.')} {error.reason} {again}".replace("  ", " ")


def group_off() -> str:
    return _("I take nothing from this group at the moment: the operators of this bot have switched it off.")


def opens(at: datetime | None) -> str:
    if at is None:
        return ""
    local = timezone.localtime(at)
    return _("Come back at %(time)s (%(zone)s), in %(wait)s.") % {
        "time": local.strftime("%H:%M"),
        "zone": local.tzname(),
        "wait": duration(at - timezone.now()),
    }


def resets(at: datetime | None) -> str:
    """When a limit lets the person in again, by the clock and from now: people live in other time zones."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    return _("This resets at %(time)s (%(zone)s), in %(wait)s.") % {
        "time": local.strftime("%H:%M"),
        "zone": local.tzname(),
        "wait": duration(at - timezone.now()),
    }


def duration(time: timedelta) -> str:
    minutes = max(1, -int(-time.total_seconds() // 60))
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return _("%(minutes)d min") % {"minutes": minutes}
    return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}


def english_only() -> str:
    return _(
        "The model understands English only, and this is in another script: the video would hardly show what you mean. "
        "Nothing is queued yet. You can send it in English instead, or have the video made anyway."
    )


def english_only_translated(translation: str) -> str:
    words = _("The model understands English only. In English, your prompt would be:")
    return words + "\n\n" + translation + "\n\n" + _("Nothing is queued yet. Shall the video be made of that?")


def button_anyway() -> str:
    return _("Make it anyway")


def button_translated() -> str:
    return _("Make that")


def button_as_typed() -> str:
    return _("As I typed it")


def not_queued() -> str:
    return _("Nothing was made of it.")
