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
from generations.roles import CANCEL, DELETE, PRIORITISE, RERUN, RESEND, REVIEW
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
    needs: str = ""
    """Why it is not offered, behind the number of a row that was skipped."""


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
    is_gone = generation.status == Status.SUCCEEDED and not generation.file
    return generation.delivery in (Delivery.UNKNOWN, Delivery.UNDELIVERABLE) and not is_gone


def waits(generation: Generation) -> bool:
    return generation.status in (Status.PENDING_REVIEW, Status.QUEUED)


def was_made(generation: Generation) -> bool:
    return generation.status in (Status.SUCCEEDED, Status.REJECTED)


def has_files(generation: Generation) -> bool:
    told = generation.delivery in (Delivery.DELIVERED, Delivery.UNDELIVERABLE, Delivery.UNKNOWN)
    return was_made(generation) and told and bool(generation.file)


LEVERS: dict[str, Lever] = {
    "approve": Lever(
        label="Approve",
        permission=REVIEW,
        done="Approved",
        offered=is_held,
        pull=lambda generation, by: operating.approve(generation, by=by),
        needs="waits for no review",
    ),
    "hold": Lever(
        label="Hold the video",
        permission=REVIEW,
        done="To be seen by an operator before it is sent",
        offered=can_be_held,
        pull=lambda generation, by: operating.hold(generation, by=by),
        needs="too late to hold it",
    ),
    "cancel": Lever(
        label="Cancel",
        permission=CANCEL,
        done="Cancel requested",
        offered=can_be_cancelled,
        pull=lambda generation, by: operating.cancel(generation, by=by),
        needs="ended, or is being stopped",
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
        needs="nothing to send again",
    ),
    "first": Lever(
        label="Put first",
        permission=PRIORITISE,
        done="Put first in the queue",
        offered=lambda generation: waits(generation) and generation.priority != operating.FIRST,
        pull=lambda generation, by: operating.prioritise(generation, by=by),
        needs="does not wait, or is first already",
    ),
    "in-turn": Lever(
        label="Back to its turn",
        permission=PRIORITISE,
        done="Back to its turn in the queue",
        offered=lambda generation: waits(generation) and generation.priority != 0,
        pull=lambda generation, by: operating.prioritise(generation, by=by, first=False),
        needs="does not wait, or has its turn",
    ),
    "bad": Lever(
        label="Mark bad",
        permission=REVIEW,
        done="Marked bad",
        offered=lambda generation: was_made(generation) and not generation.marked_bad,
        pull=lambda generation, by: operating.mark_bad(generation, by=by),
        needs="no video was made, or marked already",
    ),
    "not-bad": Lever(
        label="Take the mark back",
        permission=REVIEW,
        done="Mark taken back",
        offered=lambda generation: generation.marked_bad,
        pull=lambda generation, by: operating.mark_bad(generation, by=by, bad=False),
        needs="not marked",
    ),
    "delete-files": Lever(
        label="Delete the files",
        permission=DELETE,
        done="Files deleted",
        offered=has_files,
        pull=lambda generation, by: operating.delete_files(generation, by=by),
        needs="no files, or somebody still waits for them",
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
