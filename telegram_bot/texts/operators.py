"""What operators read in their chats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from generations.overview import Overview, Worker
from telegram_bot.texts.person import day
from telegram_bot.texts.refusals import duration

# Workers that /ops names.
LISTED_WORKERS = 10


def access_request(name: str, username: str, user_id: int) -> str:
    """A stranger's name may hold anything: one line of it, and the rest below."""
    return "\n".join(
        [
            _("Somebody asks for access."),
            _("Name: %(name)s") % {"name": Truncator(" ".join(name.split())).chars(64) or "–"},
            _("User name: %(name)s") % {"name": f"@{username}" if username else "–"},
            _("Number: %(number)d") % {"number": user_id},
        ]
    )


def access_decided(granted: bool, by: str) -> str:
    """by: the operator; "" when nobody had to decide."""
    if not by:
        return _("Has access by an invitation.") if granted else _("Denied.")
    return (_("Approved by %(name)s.") if granted else _("Denied by %(name)s.")) % {"name": by}


def button_approve() -> str:
    return _("Approve")


def button_deny() -> str:
    return _("Deny")


def review_wanted(number: int, prompt: str, name: str, *, video: bool) -> str:
    kind = _("Video #%(number)d waits for review before it is sent.") if video else ""
    kind = kind or _("Prompt #%(number)d waits for review before it is made.")
    return "\n".join(
        [
            kind % {"number": number},
            _("Name: %(name)s") % {"name": Truncator(" ".join(name.split())).chars(64) or "–"},
            Truncator(" ".join(prompt.split())).chars(600),
        ]
    )


def review_outcome(outcome: str, by: str) -> str:
    """by: the operator; "" when nobody had to decide."""
    words = {
        "approved": _("Approved by %(name)s."),
        "rejected": _("Denied by %(name)s."),
    }
    return words[outcome] % {"name": by} if outcome in words and by else _("It does not wait for review any more.")


def button_against_rules() -> str:
    return _("No: against the rules")


def button_real_people() -> str:
    return _("No: real people")


def button_other_words() -> str:
    return _("No: ask in other words")


def not_an_operator() -> str:
    return _("Only operators who may decide this can.")


def ops(seen: Overview, alerts: Sequence[tuple[str, datetime]]) -> str:
    """alerts: what is wrong now, and since when."""
    wrong = [
        "⚠️ " + _("Since %(time)s: %(what)s") % {"time": clock(since, seen.at), "what": what} for what, since in alerts
    ]
    stand = [
        _("The intake is paused: no new prompts are taken.") if seen.paused else _("New prompts are taken."),
        _("Waiting: %(number)d") % {"number": seen.waiting},
        _("Being rendered: %(number)d") % {"number": seen.rendering},
        _("Held for review: %(number)d") % {"number": seen.held},
        _("In the last hour: %(made)d made, %(failed)d failed")
        % {"made": seen.lately.made, "failed": seen.lately.failed},
    ]
    if seen.free is not None:
        stand.append(_("Free on the disk: %(space)s") % {"space": space(seen.free)})
    workers = [_("Workers: %(number)d") % {"number": len(seen.workers)}]
    workers += [_worker(worker) for worker in seen.workers[:LISTED_WORKERS]]
    if more := len(seen.workers[LISTED_WORKERS:]):
        workers.append(ngettext("and %(number)d more", "and %(number)d more", more) % {"number": more})
    if not seen.queue_answers:
        workers.append(_("The queue server does not answer, so idle ones are not seen."))
    local = timezone.localtime(seen.at)
    as_of = _("As of %(time)s (%(zone)s)") % {"time": local.strftime("%H:%M:%S"), "zone": local.tzname()}
    return "\n\n".join("\n".join(part) for part in (wrong, stand, workers, [as_of]) if part)


def _worker(worker: Worker) -> str:
    renders = ", ".join(f"#{pk} {percent} %" for pk, percent in worker.renders)
    return f"• {worker.name}: {renders or _('idle')}"


def clock(at: datetime, now: datetime) -> str:
    """The time of day, with the date where that is another."""
    at, now = timezone.localtime(at), timezone.localtime(now)
    return at.strftime("%H:%M") if at.date() == now.date() else f"{day(at)} {at:%H:%M}"


def space(number: int) -> str:
    if number >= 1e9:
        return _("%(number)s GB") % {"number": number_format(f"{number / 1e9:.1f}")}
    return _("%(number)s MB") % {"number": number_format(f"{number / 1e6:.0f}")}


def button_refresh() -> str:
    return _("Refresh")


def button_pause() -> str:
    return _("Pause the intake")


def button_resume() -> str:
    return _("Take prompts again")


def paused_now() -> str:
    return _("Paused. What was accepted is still made.")


def paused_already() -> str:
    return _("It was paused already.")


def resumed_now() -> str:
    return _("New prompts are taken again.")


def resumed_already() -> str:
    return _("It was not paused.")


def not_allowed() -> str:
    return _("Your account may not do that.")


def operators_write() -> str:
    return _("The operators of this bot write:")


def no_more_news() -> str:
    return _("You want no announcements? Say so under /settings.")


def alert_begins(what: str) -> str:
    return f"⚠️ {what}"


def alert_lasts(what: str, time: timedelta) -> str:
    return "⚠️ " + _("Still, for %(time)s: %(what)s") % {"time": duration(time), "what": what}


def alert_over(what: str, time: timedelta) -> str:
    return "✅ " + _("Over, after %(time)s: %(what)s") % {"time": duration(time), "what": what}


def alert(kind: str, state: str, facts: Mapping[str, Any]) -> str:
    """What is wrong: of each kind in conditions.py."""
    if kind == "disk":
        words = _("The disk is nearly full: %(free)s are free. Below %(least)s no prompts are taken.")
        return words % {"free": space(facts["free"]), "least": space(facts["least"])}
    if kind == "failures":
        return _("Of the last %(all)d videos %(failed)d failed, within %(minutes)d minutes.") % facts
    if kind == "delivery":
        words = ngettext(
            "%(number)d result could not be sent for more than %(minutes)d minutes. The reason: %(reason)s",
            "%(number)d results could not be sent for more than %(minutes)d minutes. The last reason: %(reason)s",
            facts["number"],
        )
        return words % facts
    if kind == "review":
        words = _(
            "%(number)d prompts and videos wait for review, more than are shown here with buttons. The review inbox of "
            "the admin site has them all."
        )
        return words % facts
    plain = {
        "unreachable": _("The queue server cannot be reached. Prompts are accepted and wait."),
        "none_while_prompts_wait": _("Prompts wait, and no worker takes them."),
        "none": _("No worker runs."),
        "token_refused": _("Telegram does not accept the bot's token. The bot stands still."),
        "conflict": _("Another program fetches the bot's messages, or a webhook takes them."),
        "telegram_unreachable": _("The bot cannot reach Telegram."),
        "webhook_refused": _("The webhook was taken away, and Telegram refuses to set it again."),
        "database_unreachable": _("The bot cannot reach the database."),
    }
    return plain.get(state, f"{kind}: {state}")
