"""Every word a person reads in the chat. Plain text: no parse mode anywhere, so nothing a person types can break it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from generations.limits import LimitReached
from generations.prompts import MAX_CHARACTERS, PromptRefused

COMMANDS = {"start": "What this bot does", "hello": "The same", "video": "Make a video from the text that follows"}

# --- answers


def greeting(words: str, draws: str = "", examples: Sequence[str] = ()) -> str:
    """The operator's greeting, what the loaded model can draw, and prompts to try."""
    parts = [words, draws]
    if examples:
        parts.append(_("For example:") + "\n" + "\n".join(f"• {example}" for example in examples))
    return "\n\n".join(part for part in parts if part)


def commands() -> str:
    listed = "\n".join(f"/{name}: {_(what)}" for name, what in COMMANDS.items())
    return _("I do not know that command. There are:") + f"\n{listed}\n" + _("Anything else you write is a prompt.")


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
    return words + "\n\n" + _("(This answers your last %(number)d messages.)") % {"number": messages}


# --- refusals


def refusal(error: Exception) -> str:
    """Why there will be no video, in words for the person."""
    if isinstance(error, LimitReached):
        return limit(error)
    if isinstance(error, PromptRefused) and error.rule == "empty":
        return _("There is no text to make a video from. Describe in words what the video should show.")
    if isinstance(error, PromptRefused) and error.rule == "too_long":
        return _("That is too long: a prompt may have %(limit)d characters.") % {"limit": MAX_CHARACTERS}
    # An engine's error keeps its public words apart; the others are made for people.
    return str(getattr(error, "public_reason", error))


def limit(error: LimitReached) -> str:
    many = {"limit": error.limit}
    if error.rule == "banned":
        words = _("You may not use this bot.")
        return f"{words} {error.reason}".strip()
    if error.rule == "daily":
        words = ngettext(
            "You have used your %(limit)d video of today: 0 of %(limit)d left.",
            "You have used your %(limit)d videos of today: 0 of %(limit)d left.",
            error.limit,
        )
        return f"{words % many} {resets(error.retry_at)}".strip()
    if error.rule == "waiting":
        words = ngettext(
            "You have %(limit)d unfinished video, as many as one person may have at a time.",
            "You have %(limit)d unfinished videos, as many as one person may have at a time.",
            error.limit,
        )
        return words % many + " " + _("Send this again when one of them is done.")
    if error.rule == "queue":
        return _("The queue is full: %(limit)d prompts wait already. Please try again in a few minutes.") % many
    if error.rule == "storage":
        return _("There is no room for new videos right now. Please try again later.")
    again = resets(error.retry_at) or _("Please try again later.")
    return f"{_('That is more than is allowed here.')} {error.reason} {again}".replace("  ", " ")


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


# --- the status message


def held() -> str:
    return _("Waiting for an operator to approve it.")


def queued(position: int, total: int, left: float | None = None, *, unattended: bool = False) -> str:
    """left: seconds until the video is there, where that is known."""
    words = _("Queued, %(position)d of %(total)d") % {"position": position, "total": total}
    if left is not None:
        words += ", " + estimate(left)
    if unattended:
        words += ". " + _("The video model is not available right now. Your prompt is kept until it is.")
    return words


def rendering(percent: int, left: float | None = None) -> str:
    words = _("Rendering %(percent)d %%") % {"percent": percent}
    if left is not None:
        words += ", " + _("%(time)s left") % {"time": estimate(left)}
    return words


def estimate(seconds: float) -> str:
    """In words so round that they do not change with every look: a changed status message is an edit."""
    if seconds < 60:
        return _("less than a minute")
    minutes = math.ceil(seconds / 60)
    if minutes > 10:
        # Steps of five minutes, above an hour of half an hour.
        step = 5 if minutes <= 60 else 30
        minutes = -(-minutes // step) * step
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return _("about %(minutes)d min") % {"minutes": minutes}
    if not minutes:
        return _("about %(hours)d h") % {"hours": hours}
    return _("about %(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}


# --- buttons


def button_cancel() -> str:
    return _("Cancel")


# --- results


def facts(seed: int, width: int, height: int, preset: str, steps: int, seconds: float | None) -> str:
    settings = ngettext("%(preset)s, %(steps)d step", "%(preset)s, %(steps)d steps", steps)
    parts = [
        _("Seed %(seed)d") % {"seed": seed},
        f"{width}×{height}",
        settings % {"preset": preset, "steps": steps},
    ]
    if seconds is not None:
        parts.append(_("made in %(seconds)s s") % {"seconds": f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"})
    return " · ".join(parts)


def ignored(tail: str) -> str:
    return _("The model reads 77 tokens; it did not see: %(tail)s") % {"tail": tail}


def failed(reason: str) -> str:
    return reason or _("This video could not be made.")


def rejected(reason: str) -> str:
    words = _("An operator declined this prompt.")
    return f"{words} {reason}".strip()


def cancelled() -> str:
    return _("This video was cancelled.")


def cancelling() -> str:
    return _("It is being stopped.")


def finished_already() -> str:
    return _("It is finished already.")


def ready() -> str:
    return _("Your video is ready.")


def file_missing() -> str:
    return _("Your video was made, but its file has been lost. Please send the prompt again.")


def too_large(limit_megabytes: int) -> str:
    words = _("Your video was made, but it is too large to be sent here: Telegram takes up to %(limit)d MB.")
    return words % {"limit": limit_megabytes}


def not_accepted() -> str:
    return _("Your video was made, but Telegram does not accept it. The operator can see why.")
