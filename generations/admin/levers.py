"""What an operator can do with one generation: its name in addresses, when it is offered, and the service behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from generations import operating, prompts, services
from generations.admin.shared import MultilineField, preset_choices
from generations.engine.base import MAX_SEED
from generations.models import Delivery, Generation, Status
from generations.roles import CANCEL, RERUN, RESEND, REVIEW
from generations.services import Operator

Outcome = Generation | bool
"""A new row, or whether anything changed."""


@dataclass(frozen=True)
class Lever:
    label: str
    permission: str
    done: str
    """What is recorded and said when it worked."""
    offered: Callable[[Generation], bool]
    pull: Callable[[Generation, Operator], Outcome]


def is_held(generation: Generation) -> bool:
    """A prompt before it is made, or a video before it is sent."""
    return generation.status == Status.PENDING_REVIEW or generation.delivery == Delivery.HELD


def can_be_held(generation: Generation) -> bool:
    untold = generation.delivery in (Delivery.NONE, Delivery.WAITING) and generation.delivery_attempts == 0
    ends_well = not generation.is_finished or generation.status == Status.SUCCEEDED
    return untold and ends_well and generation.chat_id is not None and not generation.hold_delivery


def can_be_cancelled(generation: Generation) -> bool:
    return not generation.is_finished and generation.cancel_requested_at is None


def can_be_resent(generation: Generation) -> bool:
    return generation.delivery in (Delivery.UNKNOWN, Delivery.UNDELIVERABLE)


LEVERS: dict[str, Lever] = {
    "approve": Lever(
        label="Approve",
        permission=REVIEW,
        done="Approved",
        offered=is_held,
        pull=lambda generation, by: operating.approve(generation, by=by),
    ),
    "hold": Lever(
        label="Hold the video",
        permission=REVIEW,
        done="To be seen by an operator before it is sent",
        offered=can_be_held,
        pull=lambda generation, by: operating.hold(generation, by=by),
    ),
    "cancel": Lever(
        label="Cancel",
        permission=CANCEL,
        done="Cancel requested",
        offered=can_be_cancelled,
        pull=lambda generation, by: operating.cancel(generation, by=by),
    ),
    "rerun-same": Lever(
        label="Re-run, same seed",
        permission=RERUN,
        done="Re-run with the same seed",
        offered=lambda generation: True,
        pull=lambda generation, by: services.rerun(generation, by=by, seed="same"),
    ),
    "rerun-new": Lever(
        label="Re-run, new seed",
        permission=RERUN,
        done="Re-run with a new seed",
        offered=lambda generation: True,
        pull=lambda generation, by: services.rerun(generation, by=by, seed="new"),
    ),
    "resend": Lever(
        label="Send again",
        permission=RESEND,
        done="To be sent again",
        offered=can_be_resent,
        pull=lambda generation, by: operating.resend(generation, by=by),
    ),
}


class RerunForm(forms.Form):
    """Every value that decides what a clip looks like. The model card says what is legal, inside services.rerun."""

    prompt = MultilineField(rows=4)
    negative_prompt = MultilineField(rows=2, required=False, max_length=prompts.MAX_CHARACTERS)
    seed = forms.IntegerField(validators=[MinValueValidator(0), MaxValueValidator(MAX_SEED)])
    frames = forms.IntegerField()
    width = forms.IntegerField(help_text="Pixels, as rendered.")
    height = forms.IntegerField(help_text="Pixels, as rendered.")
    preset = forms.ChoiceField(choices=preset_choices)
    steps = forms.IntegerField(required=False, help_text="Left alone or empty, another preset brings its own.")
    guidance_scale = forms.FloatField()

    @classmethod
    def values_of(cls, generation: Generation) -> dict[str, Any]:
        return {name: getattr(generation, name) for name in cls.base_fields}

    def changes(self) -> dict[str, Any]:
        """What to hand to services.rerun: steps that nobody chose for this preset are left to it."""
        values = dict(self.cleaned_data)
        if values["steps"] is None or ("preset" in self.changed_data and "steps" not in self.changed_data):
            del values["steps"]
        return values
