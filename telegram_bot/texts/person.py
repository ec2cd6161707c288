"""What a person has, and what they chose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from generations.limits import Usage
from telegram_bot.texts.refusals import resets


def nothing_on_its_way() -> str:
    return _("Nothing of yours is on its way. Write what the video should show.")


def standing(lines: Sequence[tuple[str, str]], more: int, *, unattended: bool) -> str:
    """lines: how far a video is, and its title. more: how many are not listed."""
    parts = [f"{how_far}: {title}" for how_far, title in lines]
    if more:
        parts.append(ngettext("and %(number)d more", "and %(number)d more", more) % {"number": more})
    if unattended:
        parts.append(_("The video model is not available right now. Your prompt is kept until it is."))
    return "\n".join(parts)


def usage(today: Usage, this_hour: Usage, unfinished: int, waiting_limit: int) -> str:
    """A limit of 0 is none."""
    used = today.used
    if limit := today.limit:
        words = ngettext(
            "Today you have used %(used)d of %(limit)d video; %(left)d left.",
            "Today you have used %(used)d of %(limit)d videos; %(left)d left.",
            limit,
        )
        words = words % {"used": used, "limit": limit, "left": today.left} + " " + resets(today.resets_at)
    else:
        words = ngettext("Today you have used %(used)d video.", "Today you have used %(used)d videos.", used)
        words = words % {"used": used} + " " + _("There is no limit per day.")
    if this_hour.limit:
        words += "\n" + hour(this_hour)
    if waiting_limit:
        on_its_way = _("On their way: %(number)d of at most %(limit)d.")
    else:
        on_its_way = _("On their way: %(number)d.")
    return words + "\n" + on_its_way % {"number": unfinished, "limit": waiting_limit}


def hour(usage: Usage) -> str:
    words = ngettext(
        "Within an hour you have used %(used)d of %(limit)d video; %(left)d left.",
        "Within an hour you have used %(used)d of %(limit)d videos; %(left)d left.",
        usage.limit,
    )
    words = words % {"used": usage.used, "limit": usage.limit, "left": usage.left or 0}
    return words if usage.left else words + " " + resets(usage.resets_at)


def group_usage(used: int, limit: int) -> str:
    words = ngettext(
        "This group has used %(used)d of its %(limit)d video today.",
        "This group has used %(used)d of its %(limit)d videos today.",
        limit,
    )
    return words % {"used": used, "limit": limit}


def history(page: int, pages: int) -> str:
    words = _("Your videos, page %(page)d of %(pages)d. Press one to get it again.")
    return words % {"page": page, "pages": pages}


def no_history() -> str:
    return _("You have no finished videos yet.")


def history_line(title: str, made_at: datetime, seed: int) -> str:
    """A button. Its end may be cut off on a phone."""
    return f"{title} · {day(timezone.localtime(made_at))} · {_('Seed %(seed)d') % {'seed': seed}}"


def day(at: datetime) -> str:
    # Day and month without the year, short, in Django's format letters.
    return date_format(at, _("j M"))


def button_make_one() -> str:
    """Above an empty list of one's own videos, in another chat."""
    return _("No video of yours fits. Make one")


def button_newer() -> str:
    return _("← Newer")


def button_older() -> str:
    return _("Older →")


def nothing_again() -> str:
    return _("You have no finished prompt to repeat yet.")


def nothing_to_cancel() -> str:
    return _("There is nothing to cancel.")


def cancel_how() -> str:
    return _("/cancel stops your newest video, /cancel all stops all of them.")


def cancelled_newest(title: str, more: int, *, running: bool) -> str:
    words = (_("It is being stopped: %(title)s") if running else _("Cancelled: %(title)s")) % {"title": title}
    if more:
        left = ngettext(
            "%(number)d more of yours is on its way; /cancel all stops it too.",
            "%(number)d more of yours are on their way; /cancel all stops them too.",
            more,
        )
        words += "\n" + left % {"number": more}
    return words


def cancelled_all(number: int) -> str:
    return ngettext("%(number)d video was cancelled.", "%(number)d videos were cancelled.", number) % {"number": number}


def settings(lines: Sequence[tuple[str, str, bool]]) -> str:
    """lines: a setting, what it is, and whether that is the default."""
    words = _("Your settings. They count for every prompt that does not say otherwise itself.")
    listed = [f"{name}: {value} ({_('default')})" if usual else f"{name}: {value}" for name, value, usual in lines]
    return words + "\n\n" + "\n".join(listed)


def setting_preset() -> str:
    return _("Preset")


def setting_shape() -> str:
    return _("Shape")


def setting_length() -> str:
    return _("Length")


def setting_style() -> str:
    return _("Style")


def no_style() -> str:
    return _("none")


def setting_sound() -> str:
    return _("Results")


def with_sound() -> str:
    return _("may ring")


def silent() -> str:
    return _("always silent")


def setting_news() -> str:
    return _("Announcements")


def news_wanted() -> str:
    return _("wanted")


def news_unwanted() -> str:
    return _("not wanted")


def seconds(number: float) -> str:
    return _("%(number)s s") % {"number": number_format(f"{number:.3g}")}


def chosen(label: str) -> str:
    """The button of what is set now."""
    return f"✓ {label}"


def button_as_default() -> str:
    return _("All as default")


def settings_saved() -> str:
    return _("Saved.")


def language() -> str:
    return _("In which language shall I answer you? Your prompts stay as you write them.")


def button_as_telegram() -> str:
    return _("As in my Telegram")


def not_on_offer() -> str:
    return _("That is not on offer any more.")
