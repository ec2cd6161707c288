"""Finished videos as a list of buttons. Whoever presses one gets the clip again; nothing is rendered."""

from __future__ import annotations

from generations import personal, services

from . import texts
from .asking import Ask, title_of
from .buttons import Action, Answer, Button, Keyboard, Media, Press, Pressed, callback
from .delivery import keyboards, parcel

PAGE = 5


def history(ask: Ask) -> Answer:
    """The newest of them."""
    words, keyboard = _page(*ask.whose, 0)
    return Answer(words, keyboard)


def turn(press: Press) -> Pressed:
    """Another page in the same message. The buttons work for whom the list was made."""
    owner, page = press.number(0), press.number(1)
    if owner != press.person.user_id:
        raise services.NotYours
    words, keyboard = _page(press.person.user_id, press.chat_id, page or 0)
    return Pressed(text=words, keyboard=keyboard)


def show(press: Press) -> Pressed:
    """The clip as it was sent before, with its buttons."""
    row = services.own_generation(press.person, press.number())
    if not personal.can_be_sent(row):
        raise services.Gone
    media = Media("video", file_id=row.file_id, name=row.file.name or "")
    return Pressed(sends=Answer(parcel.caption(row), keyboards.result(row.pk, row.requester.user_id), media))


def _page(user_id: int, chat_id: int, page: int) -> tuple[str, Keyboard]:
    """Pages are counted from 0. One that is no longer there becomes the last."""
    videos = personal.finished(user_id, chat_id)
    pages = -(-videos.count() // PAGE)
    if not pages:
        return texts.no_history(), []
    page = min(page, pages - 1)
    keyboard = [
        [Button(texts.history_line(title_of(row.prompt), row.created_at, row.seed), callback("show", row.pk))]
        for row in videos[page * PAGE : (page + 1) * PAGE]
    ]
    steps = [(texts.button_newer(), page - 1), (texts.button_older(), page + 1)]
    turns = [Button(label, callback("history", user_id, to)) for label, to in steps if 0 <= to < pages]
    return texts.history(page + 1, pages), [*keyboard, turns]


ACTIONS: dict[str, Action] = {"history": turn, "show": show}
