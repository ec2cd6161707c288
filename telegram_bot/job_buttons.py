"""What the buttons under a status message, a video and a failure do. Only whoever asked for the video may use them.

All state is in the database, so they work after a restart and months later. A repeat that is pressed again is refused
while the first is unfinished (afterwards.repeat); after that it is a new wish.
"""

from __future__ import annotations

from typing import Literal

from django.core.files.storage import default_storage
from django.utils import timezone
from telegram import InlineKeyboardMarkup

from generations import afterwards, operating, services

from . import delivery, refusals, texts
from .buttons import Action, Answer, Media, Press, Pressed, row_number
from .delivery import keyboards


def job_under(markup: InlineKeyboardMarkup | None) -> int | None:
    """Which job a message with these buttons shows."""
    for row in markup.inline_keyboard if markup is not None else ():
        for button in row:
            action, *arguments = str(button.callback_data or "").split(":")
            if action in ACTIONS and arguments:
                return row_number(arguments[0])
    return None


def cancel(press: Press) -> Pressed:
    """While it waits or is rendered. The status message says so when that is done, as with every outcome."""
    row = services.own_generation(press.person, press.number())
    if operating.cancel(row, by="requester"):
        return Pressed(texts.cancelling() if row.cancel_requested_at else texts.cancelled())
    return Pressed(texts.cancelling() if row.cancel_requested_at else texts.finished_already())


def again(press: Press) -> Pressed:
    return _repeat(press, "new")


def same(press: Press) -> Pressed:
    """Also what failed is tried again with its own seed."""
    return _repeat(press, "same")


def length(press: Press) -> Pressed:
    """What there is to choose from, by the model and the policy of today."""
    row = services.own_generation(press.person, press.number())
    try:
        others = [
            seconds for seconds in services.lengths(press.person.user_id) if round(seconds * row.fps) != row.frames
        ]
    except services.REFUSALS as refusal:
        return Pressed(texts.refusal(refusal), alert=True)
    if not others:
        return Pressed(texts.one_length())
    return Pressed(keyboard=keyboards.lengths(row.pk, others))


def of_length(press: Press) -> Pressed:
    """The same seed: a longer clip is another one all the same, for the frames are drawn together."""
    try:
        seconds = float(press.arguments[1])
        on_offer = seconds in services.lengths(press.person.user_id)
    except (IndexError, ValueError, *services.REFUSALS):
        on_offer = False
    return _repeat(press, "same", seconds) if on_offer else Pressed(texts.not_on_offer())


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
    return Pressed(texts.deleting(), alert=True, keyboard=keyboards.deleting(row.pk))


def keep(press: Press) -> Pressed:
    row = services.own_generation(press.person, press.number())
    return Pressed(keyboard=keyboards.result(row.pk, press.person.user_id))


def delete_for_good(press: Press) -> Pressed:
    """The file here and the message there, also when a copy of that was pressed; the row keeps its history."""
    row = services.own_generation(press.person, press.number())
    if row.file and not afterwards.delete_video(row, by="requester"):
        return Pressed(texts.not_finished())
    first = row.delivered_message_id
    also = first if row.chat_id == press.chat_id and first != press.message_id else None
    return Pressed(texts.deleted(), text=texts.cannot_be_removed(), deletes=True, deletes_also=also)


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


def _repeat(press: Press, seed: Literal["same", "new"], seconds: float | None = None) -> Pressed:
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
        new = afterwards.repeat(row, person=press.person, request_key=key, place=place, seed=seed, seconds=seconds)
    except afterwards.AskedAlready:
        return Pressed(texts.asked_already())
    except services.REFUSALS as refusal:
        return refusals.pressed(refusal, press)
    return Pressed(texts.queued_again(), announces=new.pk)


ACTIONS: dict[str, Action] = {
    "cancel": cancel,
    "again": again,
    "same": same,
    "retry": same,
    "length": length,
    "long": of_length,
    "edit": edit,
    "file": as_file,
    "gif": as_gif,
    "delete": delete,
    "keep": keep,
    "deleted": delete_for_good,
    "report": report,
}
