"""What a person chose for all of their prompts, out of what the model and the policy offer today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from generations import styles
from generations.engine.base import EXACT
from generations.engine.card import ModelCard
from generations.models import Entitlement, Requester, Style

# Seconds of a clip that a menu offers, where the model can.
LENGTHS = (1.0, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class Choices:
    """Each is "" or None for the default."""

    preset: str = ""
    aspect: str = ""
    seconds: float | None = None
    style: str = ""
    # Not of the video: whether its arrival rings.
    silent: bool = False
    # Nor this: whether what operators tell many people is wanted.
    no_news: bool = False


@dataclass(frozen=True)
class Offer:
    """What may be chosen, and what everybody gets who has chosen nothing."""

    presets: tuple[str, ...]
    aspects: tuple[str, ...]
    lengths: tuple[float, ...]
    # Labels by name.
    styles: Mapping[str, str]
    default: Choices


def offer(card: ModelCard, entitled: Entitlement, offered_styles: Mapping[str, Style]) -> Offer:
    """card: as it is capped, see offered_card."""
    default = Choices(default_preset(card, entitled), _shape(card), card.frames / card.fps)
    aspects = card.aspects()
    if default.aspect not in aspects:
        aspects = (default.aspect, *aspects)
    labels = {name: style.label for name, style in offered_styles.items()}
    return Offer(offered_presets(card, entitled), aspects, lengths(card), labels, default)


def lengths(card: ModelCard) -> tuple[float, ...]:
    """Seconds of a clip, the shortest first."""
    low, high = card.frames_range
    whole = {seconds for seconds in LENGTHS if low <= round(seconds * card.fps) <= high}
    return tuple(sorted(whole | {card.frames / card.fps}))


def offered_card(card: ModelCard, entitled: Entitlement) -> ModelCard:
    """The model as somebody may use it: an operator's own re-runs know no caps."""
    return card.capped(frames=entitled.max_frames, steps=entitled.max_steps, pixels=entitled.max_pixels)


def offered_presets(card: ModelCard, entitled: Entitlement) -> tuple[str, ...]:
    allowed = tuple(name for name in card.presets if name in entitled.presets) if entitled.presets else card.presets
    return allowed or (EXACT,)


def default_preset(card: ModelCard, entitled: Entitlement) -> str:
    offered = offered_presets(card, entitled)
    if entitled.default_preset in offered:
        return entitled.default_preset
    # What served a default may be gone since; exact needs nothing but the model.
    return EXACT if EXACT in offered else offered[0]


def with_their_own() -> QuerySet[Requester]:
    """Those who chose anything about their videos, or may have other ones than everybody."""
    usual: dict[str, Any] = {"preset": "", "aspect": "", "seconds": None, "style": "", "tier": None, "presets": []}
    caps = dict.fromkeys(("max_frames", "max_steps", "max_pixels"))
    return Requester.objects.exclude(**usual, **caps).select_related("tier")


def choices_of(requester: Requester | None, offered: Offer) -> Choices:
    """What the person chose and may still have; anything else is the default again."""
    if requester is None:
        return Choices()
    return Choices(
        requester.preset if requester.preset in offered.presets else "",
        requester.aspect if requester.aspect in offered.aspects else "",
        requester.seconds if requester.seconds in offered.lengths else None,
        requester.style if requester.style in offered.styles else "",
        requester.silent,
        requester.no_news,
    )


def chosen(setting: str, value: str, offered: Offer) -> str | float | bool | None:
    """What to keep for a setting, from its words; None when that is not on offer."""
    match setting:
        case "preset":
            return value if value in offered.presets else None
        case "aspect":
            return value if value in offered.aspects else None
        case "seconds":
            return next((seconds for seconds in offered.lengths if f"{seconds:g}" == value), None)
        case "style":
            return "" if value == styles.NONE else value if value in offered.styles else None
        case "silent" | "no_news":
            return {"yes": True, "no": False}.get(value)
    return None


def changes(chosen: Choices, given: Mapping[str, Any], card: ModelCard) -> dict[str, Any]:
    """The fields of engine.base.VideoSpec that a person chose, where a prompt does not say otherwise itself."""
    changed: dict[str, Any] = {}
    if chosen.preset and "preset" not in given:
        changed["preset"] = chosen.preset
    if chosen.aspect and not {"width", "height"} & set(given):
        across, down = chosen.aspect.split(":")
        changed["width"], changed["height"] = card.size_of(float(across), float(down))
    fps = given.get("fps", card.fps)
    if chosen.seconds is not None and "frames" not in given and isinstance(fps, int | float):
        frames = round(chosen.seconds * fps)
        # With frames a second of the prompt's own it may be too many.
        if card.frames_range[0] <= frames <= card.frames_range[1]:
            changed["frames"] = frames
    return changed


def _shape(card: ModelCard) -> str:
    """The default's shape, by its name if it has one."""
    for aspect in card.aspects():
        across, down = aspect.split(":")
        if card.size_of(float(across), float(down)) == (card.width, card.height):
            return aspect
    return f"{card.width}:{card.height}"
