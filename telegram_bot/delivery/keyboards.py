"""The buttons under what a person gets for a prompt. What they do is in job_buttons.py."""

from __future__ import annotations

from collections.abc import Sequence

from generations import services

from .. import texts
from ..buttons import Button, Keyboard, callback


def waiting(pk: int) -> Keyboard:
    """Under the status message."""
    return [[Button(texts.button_cancel(), callback("cancel", pk))]]


def result(pk: int, user_id: int) -> Keyboard:
    """Under a video."""
    return [
        [Button(texts.button_again(), callback("again", pk)), Button(texts.button_same_seed(), callback("same", pk))],
        [Button(texts.button_edit(), callback("edit", pk)), *_length(pk, user_id)],
        [Button(texts.button_as_file(), callback("file", pk)), Button(texts.button_as_gif(), callback("gif", pk))],
        [Button(texts.button_delete(), callback("delete", pk)), Button(texts.button_report(), callback("report", pk))],
    ]


def lengths(pk: int, seconds: Sequence[float]) -> Keyboard:
    """Under a video that somebody wants longer or shorter."""
    choices = [Button(texts.seconds(number), callback("long", pk, number)) for number in seconds]
    return [choices, [Button(texts.button_back(), callback("keep", pk))]]


def _length(pk: int, user_id: int) -> list[Button]:
    """No button where there is only one length."""
    try:
        several = len(services.lengths(user_id)) > 1
    except services.REFUSALS:
        several = False
    return [Button(texts.button_length(), callback("length", pk))] if several else []


def deleting(pk: int) -> Keyboard:
    """Under a video that somebody wants to delete."""
    return [
        [
            Button(texts.button_delete_for_good(), callback("deleted", pk)),
            Button(texts.button_keep(), callback("keep", pk)),
        ]
    ]


def failure(pk: int) -> Keyboard:
    """Under the reason why there is no video."""
    return [[Button(texts.button_retry(), callback("retry", pk))]]
