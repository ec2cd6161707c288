"""What is kept of a person, all of it to take away, and the end of it."""

from __future__ import annotations

from typing import Any

from telegram.constants import FileSizeLimit

from generations import erasing, exporting, services

from . import access_requests, bulletins, inbox, invitations, operators, personal_updates, texts
from .asking import Ask
from .buttons import Action, Answer, Button, Media, Press, Pressed, callback

# Telegram counts what is around a file in a request, too.
MAX_BYTES = int(FileSizeLimit.FILESIZE_UPLOAD) - 100_000
ERASE = "erase"


def privacy(ask: Ask) -> str:
    return texts.privacy(inbox.KEEP.days)


def export_me(ask: Ask) -> Answer | str:
    """One file, made when its turn to be sent comes: see package()."""
    if not _in_private(ask):
        return texts.only_in_private()
    return Answer(texts.export(), media=Media("document", exports=ask.person.user_id))


def package(user_id: int) -> exporting.Package:
    """Raises OSError while the storage does not answer."""
    more: dict[str, Any] = {
        "messages": personal_updates.of_person(user_id),
        "bulletins": bulletins.of_person(user_id),
        "access_requests": access_requests.of_person(user_id),
        "invitations": invitations.of_person(user_id),
    }
    if account := operators.account_of(user_id):
        more["operator"] = account
    return exporting.package(user_id, MAX_BYTES, more)


def delete_me(ask: Ask) -> Answer | str:
    """The buttons work for whoever asked."""
    if not _in_private(ask):
        return texts.only_in_private()
    user_id, kept = ask.person.user_id, erasing.kept(ask.person.user_id)
    buttons = [
        Button(texts.button_delete_everything(), callback(ERASE, user_id)),
        Button(texts.button_keep_everything(), callback("keep_all", user_id)),
    ]
    return Answer(texts.delete_everything(kept.prompts, kept.videos), [buttons])


def erase(press: Press) -> Pressed:
    """Pressed again it says the same, and finds nothing any more."""
    _only_the_owner(press)
    erasing.erase(press.person.user_id)
    return Pressed(texts.deleted(), text=texts.everything_deleted(), forgets=True)


def keep_all(press: Press) -> Pressed:
    _only_the_owner(press)
    return Pressed(text=texts.everything_kept())


def _in_private(ask: Ask) -> bool:
    return ask.place.chat_id == ask.person.user_id


def _only_the_owner(press: Press) -> None:
    if press.arguments[:1] != (str(press.person.user_id),):
        raise services.NotYours


ACTIONS: dict[str, Action] = {ERASE: erase, "keep_all": keep_all}
# These see what came before them only when that is noted, see decisions.settle.
LAST: frozenset[str] = frozenset({ERASE})
