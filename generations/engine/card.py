"""The model card: what a model folder says about itself, readable by every process. No torch, no Django.

The web and bot processes validate sizes and show limits without ever loading weights, so everything they need comes
from configuration.json alone (ModelScope's own file; our optional key "text_to_video_bot" refines it).
"""

from __future__ import annotations

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


class InvalidSpec(ValueError):
    """A request outside the model's range. field names the setting, str(error) is fit for the person."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class ModelCard:
    """Defaults are upstream's; ranges are inclusive."""

    name: str = "iic/text-to-video-synthesis"
    licence: str = MODELSCOPE_LICENCE
    draws: str = "Short clips of about two seconds. It understands English only."
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
    upscale: int = 1
    presets: tuple[str, ...] = tuple(name for name, preset in PRESETS.items() if not preset.lora)

    def spec(self, prompt: str, *, seed: int, **changes: Any) -> VideoSpec:
        """Return a validated spec from this card's defaults with changes; raises InvalidSpec.

        Without steps among the changes, the preset says how many: exact takes this card's own.
        """
        preset = changes.get("preset", EXACT)
        self.check_preset(preset)
        chosen = {name: getattr(self, name) for name in ("frames", "width", "height", "fps", "steps", "guidance_scale")}
        chosen["steps"] = PRESETS[preset].steps(self.steps)
        unknown = set(changes) - {field.name for field in fields(VideoSpec)}
        if unknown:
            raise InvalidSpec(min(unknown), f"There is no setting called {min(unknown)}.")
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
            legal = f"a multiple of {self.size_multiple} from {low} to {high}" if low < high else f"{low}"
            if type(value) is not int or not low <= value <= high or value % self.size_multiple:
                raise InvalidSpec(side, f"{side} must be {legal}, not {value}.")
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
            raise InvalidSpec("preset", f"preset must be {_either(names)}, not {name}.")


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _whole(field: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InvalidSpec(field, f"{field} must be a whole number from {low} to {high}, not {value}.")


def _number(field: str, value: object, low: float, high: float) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high:  # type: ignore[operator]
        raise InvalidSpec(field, f"{field} must be a number from {low:g} to {high:g}, not {value}.")


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
        if "examples" in extension:
            known["examples"] = tuple(extension["examples"])
        for name in ("frames", "width", "height", "steps"):
            if name in limits:
                known[f"{name}_range"] = tuple(int(bound) for bound in limits[name])
        card = ModelCard(**{"name": Path(model).name, "frames": max_frames, **known, **defaults, **offered})
        # A folder whose own defaults lie outside its limits would refuse every prompt.
        card.spec("", seed=0)
        return card
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError([f"{path}: not a readable ModelScope configuration ({error!r})"]) from error
