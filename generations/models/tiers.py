"""How much somebody may have: a person's own numbers win over those of the person's tier, and these over the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from generations.models.policy import Policy

# Lanes of the queue. Below operating.FIRST: what an operator puts first stays first.
HIGHEST_LANE = 9


@dataclass(frozen=True)
class Entitlement:
    """What one person may have, all things considered. 0 is no limit; presets: empty is every one."""

    hourly_limit: int
    daily_limit: int
    waiting_limit: int
    running_limit: int
    max_frames: int
    max_steps: int
    max_pixels: int
    presets: tuple[str, ...]
    default_preset: str
    priority: int


OF_EVERYBODY = (
    "hourly_limit",
    "daily_limit",
    "waiting_limit",
    "running_limit",
    "max_frames",
    "max_steps",
    "max_pixels",
    "presets",
)
# What a tier or a person may have of their own.
OWN_LIMITS = (*OF_EVERYBODY, "priority")


def entitlement(policy: Policy, *closer: OwnLimits | None) -> Entitlement:
    """The policy's numbers, each replaced by the first of closer that has one of its own."""
    values: dict[str, Any] = {name: getattr(policy, name) for name in OF_EVERYBODY} | {"priority": 0}
    for name in OWN_LIMITS:
        own = next((own for limits in closer if limits is not None and (own := limits.own(name)) is not None), None)
        if own is not None:
            values[name] = own
    values["presets"] = tuple(values["presets"])
    return Entitlement(default_preset=policy.default_preset, **values)


class OwnLimits(models.Model):
    """Columns for limits of one's own. None, or no preset, is none: what stands behind it counts."""

    hourly_limit = models.PositiveIntegerField(null=True, blank=True, help_text="Videos in any sixty minutes.")
    daily_limit = models.PositiveIntegerField(null=True, blank=True, help_text="Videos per day.")
    waiting_limit = models.PositiveIntegerField(null=True, blank=True, help_text="Unfinished prompts at one time.")
    running_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Videos that are rendered at one time; further ones wait for these."
    )
    max_frames = models.PositiveIntegerField(null=True, blank=True, help_text="Frames of one video.")
    max_steps = models.PositiveIntegerField(null=True, blank=True, help_text="Steps of one video.")
    max_pixels = models.PositiveIntegerField(null=True, blank=True, help_text="Width times height of one video.")
    presets = models.JSONField(default=list, blank=True)
    priority = models.SmallIntegerField(
        null=True,
        blank=True,
        help_text=f"Lane of the queue, from -{HIGHEST_LANE} to {HIGHEST_LANE}: whoever has a higher one comes first, "
        "always. Everybody else has 0.",
        validators=[MinValueValidator(-HIGHEST_LANE), MaxValueValidator(HIGHEST_LANE)],
    )

    class Meta:
        abstract = True

    def own(self, name: str) -> Any:
        """None: nothing of its own."""
        value = getattr(self, name)
        return None if value == [] else value


class Tier(OwnLimits):
    """Limits with a name, for as many people as an operator gives it to."""

    name = models.CharField(max_length=40, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
