"""What stands on the buttons below a video, and what pressing them answers."""

from __future__ import annotations

from django.utils.translation import gettext as _


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
