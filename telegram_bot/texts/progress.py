"""The status message, and what a video is told with."""

from __future__ import annotations

import math

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def held() -> str:
    return _("Waiting for an operator to approve it.")


def held_video() -> str:
    return _("Your video is made. An operator looks at it before it is sent.")


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


def first_of(number: int) -> str:
    """Only the first of several results has a status message."""
    words = ngettext(
        "This is the first of %(number)d video; the others come as messages of their own.",
        "This is the first of %(number)d videos; the others come as messages of their own.",
        number,
    )
    return words % {"number": number}


def edited() -> str:
    return _("An edited message does not change its video. Reply to the video with the new words instead.")


def edited_in_time() -> str:
    return _("An edited message does not change its video by itself. It is not begun yet:")


def button_new_words() -> str:
    return _("Use the new words")


def begun_already() -> str:
    return _("It is too late for that. Reply to the video with the new words.")


def facts(
    seed: int,
    width: int,
    height: int,
    preset: str,
    steps: int,
    seconds: float | None,
    *,
    style: str = "",
    model: str = "",
    frames: int | None = None,
    fps: float | None = None,
    guidance: float | None = None,
) -> str:
    """What makes the same video again; None is left out."""
    settings = ngettext("%(preset)s, %(steps)d step", "%(preset)s, %(steps)d steps", steps)
    parts = [
        _("Seed %(seed)d") % {"seed": seed},
        f"{width}×{height}",
        settings % {"preset": preset, "steps": steps},
    ]
    if style:
        parts.append(_("style %(name)s") % {"name": style})
    if frames is not None:
        parts.append(ngettext("%(number)d frame", "%(number)d frames", frames) % {"number": frames})
    if fps is not None:
        parts.append(_("%(number)s per second") % {"number": number_format(f"{fps:g}")})
    if guidance is not None:
        parts.append(_("guidance %(number)s") % {"number": number_format(f"{guidance:g}")})
    if seconds is not None:
        taken = number_format(f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}")
        parts.append(_("made in %(seconds)s s") % {"seconds": taken})
    if model:
        parts.append(model)
    return " · ".join(parts)


def made_with(model: str, licence: str) -> str:
    """Once per person and model."""
    return _("Made with %(name)s. Its licence: %(licence)s.") % {"name": model, "licence": licence}


def without(negative: str) -> str:
    return _("Without: %(text)s") % {"text": negative}


def translated(prompt: str) -> str:
    return _("The model read: %(text)s") % {"text": prompt}


def ignored(tail: str) -> str:
    return _("The model reads 77 tokens; it did not see: %(tail)s") % {"tail": tail}


def failed(reason: str) -> str:
    """reason: what a worker wrote, in English; marked there with gettext_noop."""
    return _(reason) if reason else _("This video could not be made.")


def rejected(reason: str) -> str:
    """reason: an operator's own words, or one of reviewing.REASONS."""
    words = _("An operator declined this prompt.")
    return f"{words} {_(reason)}" if reason else words


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
