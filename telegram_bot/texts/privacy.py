"""What is kept, exported and deleted."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


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
