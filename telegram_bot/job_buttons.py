"""What the buttons under a status message, a video and a failure do. Only whoever asked for the video may use them."""

from __future__ import annotations

from generations import services

from . import texts
from .buttons import Action, Press, Pressed


def cancel(press: Press) -> Pressed:
    """While it waits or is rendered. The status message says so when that is done, as with every outcome."""
    row = services.own_generation(press.person, press.number())
    if services.cancel(row, by="requester"):
        return Pressed(texts.cancelling() if row.cancel_requested_at else texts.cancelled())
    return Pressed(texts.cancelling() if row.cancel_requested_at else texts.finished_already())


ACTIONS: dict[str, Action] = {"cancel": cancel}
