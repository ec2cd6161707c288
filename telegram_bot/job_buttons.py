"""What the buttons under a status message, a video and a failure do. Only whoever asked for the video may use them.

All state is in the database, so they work after a restart and months later. A repeat that is pressed again is refused
while the first is unfinished (afterwards.repeat); after that it is a new wish.
"""

from __future__ import annotations

from typing import Literal

from django.core.files.storage import default_storage
from django.utils import timezone

from generations import afterwards, services

from . import delivery, texts
from .buttons import Action, Answer, Media, Press, Pressed
from .delivery import keyboards


def cancel(press: Press) -> Pressed:
    """While it waits or is rendered. The status message says so when that is done, as with every outcome."""
    row = services.own_generation(press.person, press.number())
    if services.cancel(row, by="requester"):
        return Pressed(texts.cancelling() if row.cancel_requested_at else texts.cancelled())
    return Pressed(texts.cancelling() if row.cancel_requested_at else texts.finished_already())


def again(press: Press) -> Pressed:
    return _repeat(press, "new")


def same(press: Press) -> Pressed:
    """Also what failed is tried again with its own seed."""
    return _repeat(press, "same")


def edit(press: Press) -> Pressed:
    """The new words come as a reply to the video, see afterwards.reworded."""
    services.own_generation(press.person, press.number())
    return Pressed(texts.edit_how(), alert=True)


def as_file(press: Press) -> Pressed:
    """The same bytes, as a document: Telegram does not compress those. Once."""
    return _export(press, "document", afterwards.AS_FILE)


def as_gif(press: Press) -> Pressed:
    """What Telegram calls a GIF is a video without sound that plays by itself, over and over. Once."""
    return _export(press, "animation", afterwards.AS_GIF)


def delete(press: Press) -> Pressed:
    row = services.own_generation(press.person, press.number())
    return Pressed(keyboard=keyboards.deleting(row.pk))


def keep(press: Press) -> Pressed:
    row = services.own_generation(press.person, press.number())
    return Pressed(keyboard=keyboards.result(row.pk))


def delete_for_good(press: Press) -> Pressed:
    """The file here and the message there; the row keeps its history."""
    row = services.own_generation(press.person, press.number())
    if row.file and not afterwards.delete_video(row, by="requester"):
        return Pressed(texts.not_finished())
    return Pressed(texts.deleted(), text=texts.cannot_be_removed(), deletes=True)


def report(press: Press) -> Pressed:
    """For the operators, who find it in the admin's list."""
    row = services.own_generation(press.person, press.number())
    first = afterwards.ask_once(row, afterwards.REPORTED, key=press.query_id)
    return Pressed(texts.reported() if first else texts.reported_already(), alert=first)


def _export(press: Press, kind: Literal["document", "animation"], event: str) -> Pressed:
    row = services.own_generation(press.person, press.number())
    name = row.file.name or ""
    if not name or not default_storage.exists(name):
        return Pressed(texts.no_video())
    if not afterwards.ask_once(row, event, key=press.query_id):
        return Pressed(texts.file_sent_already())
    return Pressed(texts.file_on_its_way(), sends=Answer("", media=Media(kind, name=name, filename=f"{row.pk}.mp4")))


def _repeat(press: Press, seed: Literal["same", "new"]) -> Pressed:
    row = services.own_generation(press.person, press.number())
    if not row.is_finished:
        return Pressed(texts.not_finished())
    place = services.Place(
        chat_id=press.chat_id,
        thread_id=row.thread_id,
        prompt_message_id=row.prompt_message_id,
        deliver_after=timezone.now() + delivery.ANNOUNCEMENT,
    )
    key = f"{press.action}:{row.pk}:{press.query_id}"
    try:
        new = afterwards.repeat(row, person=press.person, request_key=key, place=place, seed=seed)
    except afterwards.AskedAlready:
        return Pressed(texts.asked_already())
    except services.REFUSALS as refusal:
        return Pressed(texts.refusal(refusal), alert=True)
    return Pressed(texts.queued_again(), announces=new.pk)


ACTIONS: dict[str, Action] = {
    "cancel": cancel,
    "again": again,
    "same": same,
    "retry": same,
    "edit": edit,
    "file": as_file,
    "gif": as_gif,
    "delete": delete,
    "keep": keep,
    "deleted": delete_for_good,
    "report": report,
}
