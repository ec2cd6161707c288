"""The buttons under what a person gets. What they do is in job_buttons.py."""

from __future__ import annotations

from .. import texts
from ..buttons import Button, Keyboard, callback


def waiting(pk: int) -> Keyboard:
    """Under the status message."""
    return [[Button(texts.button_cancel(), callback("cancel", pk))]]
