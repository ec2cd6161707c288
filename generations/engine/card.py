"""The model card: what a model folder says about itself, readable by every process. No torch, no Django.

The web and bot processes validate sizes and show limits without ever loading weights, so everything they need comes
from configuration.json alone (ModelScope's own file; our optional key "text_to_video_bot" refines it).
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from generations.engine.base import EXACT, MAX_SEED, CheckpointError, VideoSpec
from generations.engine.presets import PRESETS

DEMO_MODEL = Path(__file__).resolve().parent / "demo_model"

MODELSCOPE_LICENCE = "CC-BY-NC-4.0, for research and non-commercial use only"
# The autoencoder has three stride-2 stages: one latent cell is 8x8 pixels.
LATENT_STRIDE = 8

# Shapes that people ask for by name, the model's own first.
ASPECTS = ("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "21:9")
# How far a clip may be from the shape that was asked for, as a factor: multiples of 8 are coarse.
ASPECT_TOLERANCE = 1.1
# To be of the right shape matters more than to be of the right size.
ASPECT_WEIGHT = 4

# What can be wrong with a request, in words for the person who made it. name: the setting or the flag.
PROBLEMS = {
    "setting": "There is no setting called {name}.",
    "whole": "{name} must be a whole number from {low} to {high}, not {value}.",
    "number": "{name} must be a number from {low} to {high}, not {value}.",
    "multiple": "{name} must be a multiple of {multiple} from {low} to {high}, not {value}.",
    "choice": "{name} must be {choices}, not {value}.",
    "pixels": "{name}: width times height may be {most} at most, not {value}.",
    "aspect": "{name} must be width:height, such as {choices}, not {value}.",
    "size": "{name} must be WIDTHxHEIGHT in multiples of {multiple} from {low} to {high}, not {value}.",
    "missing": "{name} needs a value.",
    "unknown": "There is no flag {name}. There are {choices}.",
    "near": "There is no flag {name}. Did you mean {suggestion}?",
    "together": "{name} and {other} say the same thing twice; choose one of them.",
    "nothing": "{name}: there is nothing to choose from here.",
    "several": "{name} asks for several videos; here it is one at a time.",
}


class InvalidSpec(ValueError):
    """A request outside the model's range. field names the setting, str(error) is fit for the person.

    problem is a name in PROBLEMS and facts are what its sentence says, for whoever says it in another language.
    """

    def __init__(self, field: str, problem: str, *, name: str = "", **facts: Any) -> None:
        self.field, self.problem = field, problem
        self.facts = {"name": name or field, **facts}
        words = {key: either(fact) if key == "choices" else fact for key, fact in self.facts.items()}
        super().__init__(PROBLEMS[problem].format(**words))


@dataclass(frozen=True)
class ModelCard:
    """Defaults are upstream's; ranges are inclusive."""

    name: str = "iic/text-to-video-synthesis"
    licence: str = MODELSCOPE_LICENCE
    draws: str = "Short clips of about two seconds. It understands English only."
    habits: str = (
        "There is no sound, and often a watermark of stock photos. Faces, hands and written words come out badly. "
        "It repeats the prejudices of the films that it learned from."
    )
    examples: tuple[str, ...] = (
        "A panda eating bamboo on a rock.",
        "An astronaut riding a horse.",
        "A golden retriever running on a beach at sunset.",
        "A rocket lifting off into a night sky.",
        "A cup of coffee on a table, steam rising.",
        "Waves rolling onto a rocky shore.",
    )
    frames: int = 16
    width: int = 256
    height: int = 256
    fps: float = 8
    steps: int = 50
    guidance_scale: float = 9.0
    frames_range: tuple[int, int] = (1, 32)
    width_range: tuple[int, int] = (64, 576)
    height_range: tuple[int, int] = (64, 576)
    steps_range: tuple[int, int] = (1, 100)
    guidance_range: tuple[float, float] = (1.0, 30.0)
    size_multiple: int = LATENT_STRIDE
    # Of one frame as rendered; 0 is as many as the two ranges allow.
    most_pixels: int = 0
    upscale: int = 1
    # In which prompts may be written, by ISO 639 code.
    languages: tuple[str, ...] = ("en",)
    presets: tuple[str, ...] = tuple(name for name, preset in PRESETS.items() if not preset.lora)

    @property
    def english_only(self) -> bool:
        return set(self.languages) == {"en"}

    def spec(self, prompt: str, *, seed: int, **changes: Any) -> VideoSpec:
        """Return a validated spec from this card's defaults with changes; raises InvalidSpec.

        Without steps among the changes, the preset says how many: exact takes this card's own.
        """
        preset = changes.get("preset", EXACT)
        self.check_preset(preset)
        chosen = {name: getattr(self, name) for name in ("frames", "width", "height", "fps", "steps", "guidance_scale")}
        chosen["steps"] = min(PRESETS[preset].steps(self.steps), self.steps_range[1])
        unknown = set(changes) - {field.name for field in fields(VideoSpec)}
        if unknown:
            raise InvalidSpec(min(unknown), "setting")
        spec = VideoSpec(prompt=prompt, seed=seed, **{**chosen, **changes})
        self.check(spec)
        return spec

    def check(self, spec: VideoSpec) -> None:
        """Raise InvalidSpec for the first value outside what this model can render."""
        self.check_preset(spec.preset)
        _whole("seed", spec.seed, 0, MAX_SEED)
        _whole("frames", spec.frames, *self.frames_range)
        for side in ("width", "height"):
            low, high = getattr(self, f"{side}_range")
            value = getattr(spec, side)
            if type(value) is not int or not low <= value <= high or value % self.size_multiple:
                if low == high:
                    raise InvalidSpec(side, "choice", choices=(str(low),), value=value)
                raise InvalidSpec(side, "multiple", multiple=self.size_multiple, low=low, high=high, value=value)
        if self.most_pixels and spec.width * spec.height > self.most_pixels:
            raise InvalidSpec("width", "pixels", most=self.most_pixels, value=f"{spec.width}x{spec.height}")
        fewest, most = self.steps_range
        preset = PRESETS[spec.preset]
        # A preset with a better solver may need fewer steps than the range of exact begins with.
        _whole("steps", spec.steps, min(fewest, preset.steps(self.steps)), min(most, preset.most_steps))
        _number("guidance_scale", spec.guidance_scale, *self.guidance_range)
        _number("fps", spec.fps, 1, 60)

    def check_preset(self, name: object, legal: Collection[str] | None = None) -> None:
        """Raise InvalidSpec for a preset that is not one of legal (default: all of this card), naming those."""
        names = [preset for preset in self.presets if legal is None or preset in legal]
        if name not in names:
            raise InvalidSpec("preset", "choice", choices=tuple(names), value=name)

    def capped(self, *, frames: int = 0, steps: int = 0, pixels: int = 0) -> ModelCard:
        """Return the card of somebody who may ask for less: at most so many each, 0 for the card's own.

        Nobody can be held below what the model needs at least. Defaults above a cap come down to it.
        """
        card = self
        if pixels:
            widths, heights = _sides(self)
            card = replace(card, most_pixels=max(pixels, widths[0] * heights[0]))
        if frames:
            low, high = self.frames_range
            most = max(low, min(high, frames))
            card = replace(card, frames_range=(low, most), frames=min(self.frames, most))
        if steps:
            low, high = self.steps_range
            card = replace(card, steps_range=(low, max(low, min(high, steps))))
        if card.most_pixels and card.width * card.height > card.most_pixels:
            width, height = card.size_of(self.width, self.height, area=card.most_pixels)
            card = replace(card, width=width, height=height)
        return card

    def size_of(self, across: float, down: float, *, area: float = 0) -> tuple[int, int]:
        """Return (width, height) in pixels of a clip of this shape, of about the default's area (or another one).

        Raises InvalidSpec for "aspect" when no legal size comes near that shape.
        """
        width, height = _nearest(self, across / down, area or self.width * self.height)
        if _apart(width / height, across / down) > math.log(ASPECT_TOLERANCE):
            raise InvalidSpec("aspect", "aspect", choices=self.aspects(), value=f"{across:g}:{down:g}")
        return width, height

    def aspects(self) -> tuple[str, ...]:
        """Those of ASPECTS that this model can render."""

        def possible(name: str) -> bool:
            across, down = name.split(":")
            wanted = int(across) / int(down)
            width, height = _nearest(self, wanted, self.width * self.height)
            return _apart(width / height, wanted) <= math.log(ASPECT_TOLERANCE)

        return tuple(name for name in ASPECTS if possible(name))


def _nearest(card: ModelCard, wanted: float, area: float) -> tuple[int, int]:
    """The legal size nearest to this shape (width / height) and area. The default is legal, so there is one."""

    def distance(size: tuple[int, int]) -> float:
        width, height = size
        return ASPECT_WEIGHT * _apart(width / height, wanted) + _apart(width * height, area)

    widths, heights = _sides(card)
    sizes = []
    for width in widths:
        most = card.most_pixels / width if card.most_pixels else math.inf
        legal = [height for height in heights if height <= most]
        # Shape matters more than area, so the best height is beside the one of the very shape.
        place = bisect.bisect(legal, width / wanted)
        sizes += [(width, height) for height in legal[max(place - 1, 0) : place + 1]]
    return min(sizes, key=distance)


def _sides(card: ModelCard) -> tuple[range, range]:
    """Every legal width and every legal height."""
    step = card.size_multiple
    lows_and_highs = (card.width_range, card.height_range)
    widths, heights = (range(-(-low // step) * step, high + 1, step) for low, high in lows_and_highs)
    return widths, heights


def either(names: Collection[str]) -> str:
    """a, b or c."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _apart(one: float, other: float) -> float:
    """How much larger one is, or smaller: the same for twice and for half."""
    return abs(math.log(one / other))


def _whole(field: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        if low == high:
            raise InvalidSpec(field, "choice", choices=(str(low),), value=value)
        raise InvalidSpec(field, "whole", low=low, high=high, value=value)


def _number(field: str, value: object, low: float, high: float) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high:  # type: ignore[operator]
        raise InvalidSpec(field, "number", low=f"{low:g}", high=f"{high:g}", value=value)


def read_card(model: str | Path = DEMO_MODEL, *, turbo: bool = False) -> ModelCard:
    """Return the card of a model folder, or upstream's card for a hub id whose folder is not on this machine.

    turbo: the engine has a few-step LoRA, and so the preset of that name.
    Raises CheckpointError when the folder has a configuration.json that cannot be read.
    """
    offered: dict[str, Any] = {"presets": tuple(PRESETS)} if turbo else {}
    path = Path(model) / "configuration.json"
    if not path.is_file():
        return replace(ModelCard(name=str(model)), **offered)
    try:
        configuration = json.loads(path.read_text(encoding="utf-8"))
        max_frames = int(configuration["model"]["model_args"].get("max_frames", 16))
        extension = configuration.get("text_to_video_bot", {})
        defaults, limits = extension.get("defaults", {}), extension.get("limits", {})
        known = {name: extension[name] for name in ("name", "licence", "draws", "upscale") if name in extension}
        if "draws" in extension:
            # Upstream's habits belong to what upstream draws.
            known["habits"] = extension.get("habits", "")
        if "examples" in extension:
            known["examples"] = tuple(extension["examples"])
        if "languages" in extension:
            known["languages"] = tuple(str(code) for code in extension["languages"])
        for name in ("frames", "width", "height", "steps"):
            if name in limits:
                known[f"{name}_range"] = tuple(int(bound) for bound in limits[name])
        card = ModelCard(**{"name": Path(model).name, "frames": max_frames, **known, **defaults, **offered})
        # A folder whose own defaults lie outside its limits would refuse every prompt.
        card.spec("", seed=0)
        return card
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError([f"{path}: not a readable ModelScope configuration ({error!r})"]) from error
