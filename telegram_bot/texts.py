"""Every word a person reads in the chat. Plain text: no parse mode anywhere, so nothing a person types can break it.

Call these while the person's language is spoken (languages.py). docs/translations.md says how a new text is translated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from generations.engine.card import InvalidSpec
from generations.limits import LimitReached
from generations.overview import Overview, Worker
from generations.prompts import MAX_CHARACTERS, PromptRefused

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

# In a link to the bot, which sends it back behind /start.
TERMS_LINK = "terms"

# Workers that /ops names.
LISTED_WORKERS = 10

# --- answers


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


# --- what a person has


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


def usage(used: int, limit: int, resets_at: datetime, unfinished: int, waiting_limit: int) -> str:
    """A limit of 0 is none."""
    if limit:
        words = ngettext(
            "Today you have used %(used)d of %(limit)d video; %(left)d left.",
            "Today you have used %(used)d of %(limit)d videos; %(left)d left.",
            limit,
        )
        words = words % {"used": used, "limit": limit, "left": max(limit - used, 0)} + " " + resets(resets_at)
    else:
        words = ngettext("Today you have used %(used)d video.", "Today you have used %(used)d videos.", used)
        words = words % {"used": used} + " " + _("There is no limit per day.")
    if waiting_limit:
        on_its_way = _("On their way: %(number)d of at most %(limit)d.")
    else:
        on_its_way = _("On their way: %(number)d.")
    return words + "\n" + on_its_way % {"number": unfinished, "limit": waiting_limit}


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


# --- settings


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


# --- who is let in


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


# --- for operators


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


def not_an_operator() -> str:
    return _("Only operators who may decide this can.")


# --- what is kept


def privacy(days: int) -> str:
    """Everything here must be true of the code: change it together with what is stored."""
    return "\n\n".join(
        [
            _("What is kept of you, and for how long:"),
            "• "
            + _(
                "Your name, user name, number and language as Telegram tells them, what you chose with /settings and "
                "/language, since when you have access and how you got it, and which terms you accepted: until you "
                "delete everything. The operators may add notes and a ban."
            ),
            "• "
            + _(
                "Your prompts with their settings and times, what became of them, and your videos: until you delete "
                "everything. The button Delete under a video removes its file, and leaves the rest."
            ),
            "• "
            + ngettext(
                "What you write to me and press here, as Telegram sends it: for %(days)d day after it is handled. In "
                "a group that is also what others write, as far as Telegram sends it to me.",
                "What you write to me and press here, as Telegram sends it: for %(days)d days after it is handled. In "
                "a group that is also what others write, as far as Telegram sends it to me.",
                days,
            )
            % {"days": days},
            "• " + _("Of a group where I am spoken to: its title and its number, as long as this bot is run."),
            "• "
            + _(
                "A prompt that I asked you about before it is queued: until you press a button, for 30 days at most. "
                "What you type to find your videos from another chat is not kept."
            ),
            _(
                "Who can see it: the operators of this bot, and Telegram, which carries it and keeps a copy of our "
                "chat. In a group everybody there. Nobody else: the videos are made without any other service. A "
                "video file also holds its prompt and settings, for whoever you give it to."
            ),
            _("/export_me sends you all of it."),
            _(
                "/delete_me deletes all of it at once, also what is on its way. What stays: the messages in our chat, "
                "which you can delete yourself; copies that operators made before, such as backups; numbers of chats "
                "in the technical log; that somebody, nobody can say who, deleted so many prompts on that day. If "
                "you are banned, your number and the time of the ban stay, so that it holds."
            ),
        ]
    )


def only_in_private() -> str:
    return _("This works in a private chat with me only.")


def export() -> str:
    return _("Everything that is kept of you: data.json, and your videos where there are any.")


def export_left_out(number: int, limit_megabytes: int) -> str:
    """Clips that were too many for one file."""
    words = ngettext(
        "%(number)d older video is not in it: a file may have %(limit)d MB here. /history gets it.",
        "%(number)d older videos are not in it: a file may have %(limit)d MB here. /history gets them.",
        number,
    )
    return words % {"number": number, "limit": limit_megabytes}


def delete_everything(prompts: int, videos: int) -> str:
    kept_prompts = ngettext("%(number)d prompt", "%(number)d prompts", prompts) % {"number": prompts}
    kept_videos = ngettext("%(number)d video", "%(number)d videos", videos) % {"number": videos}
    words = _(
        "This deletes everything that is kept of you: %(prompts)s, %(videos)s, your settings, and what you wrote here. "
        "What is on its way is stopped. It cannot be undone. /export_me first sends you all of it; /privacy says what "
        "stays."
    )
    return words % {"prompts": kept_prompts, "videos": kept_videos}


def button_delete_everything() -> str:
    return _("Delete everything")


def button_keep_everything() -> str:
    return _("Keep everything")


def everything_deleted() -> str:
    return _(
        "Everything that was kept of you is deleted. The messages in this chat are yours to delete. "
        "If you write again, it starts anew."
    )


def bulletin_withdrawn() -> str:
    """What is left, in an operators' chat, of a message about somebody who is erased."""
    return _("This was about somebody who has deleted everything.")


def everything_kept() -> str:
    return _("Nothing was deleted.")


# --- for operators


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


# --- refusals


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
    if error.rule == "daily":
        words = ngettext(
            "You have used your %(limit)d video of today: 0 of %(limit)d left.",
            "You have used your %(limit)d videos of today: 0 of %(limit)d left.",
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


# --- a prompt that the model will hardly understand


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


# --- buttons


def button_cancel() -> str:
    return _("Cancel")


def button_again() -> str:
    return _("Again")


def button_same_seed() -> str:
    return _("Same seed")


def button_edit() -> str:
    return _("Edit prompt")


def button_length() -> str:
    return _("Longer or shorter")


def button_back() -> str:
    return _("← Back")


def one_length() -> str:
    return _("All videos are of one length now.")


def edit_how() -> str:
    return _("Reply to the video with the new words. Its seed and all its settings stay.")


def button_as_file() -> str:
    return _("As file")


def button_as_gif() -> str:
    return _("As GIF")


def button_delete() -> str:
    return _("Delete")


def button_delete_for_good() -> str:
    return _("Delete for good")


def button_keep() -> str:
    return _("Keep")


def button_report() -> str:
    return _("Report")


def button_retry() -> str:
    return _("Try again")


def queued_again() -> str:
    return _("It is in the queue.")


def asked_already() -> str:
    return _("That is on its way already.")


def not_finished() -> str:
    return _("It is not finished yet.")


def file_on_its_way() -> str:
    return _("The file is on its way.")


def file_sent_already() -> str:
    return _("The file was sent already.")


def no_video() -> str:
    return _("The video is no longer here.")


def deleting() -> str:
    return _("This deletes the video here and on our side. Copies that you asked for in other messages stay there.")


def deleted() -> str:
    return _("Deleted.")


def cannot_be_removed() -> str:
    """The caption that is left where Telegram does not let a bot delete the message."""
    return _(
        "Deleted here. Telegram lets me remove messages of the last two days only: "
        "to be rid of this one, please delete it yourself."
    )


def reported() -> str:
    return _("Thank you. The operators of this bot will look at it.")


def reported_already() -> str:
    return _("You have reported it already.")


# --- results


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
