"""What every engine shares: the request, the promise, the errors. No torch, no Django."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from generations.engine.card import ModelCard

# torch.Generator takes any 64-bit seed; people read and retype this one, so it stays short.
MAX_SEED = 2**31 - 1

# The preset of whoever chooses none: upstream's own sampler and steps. presets.py has them all.
EXACT = "exact"

# How a UNet may be run (ENGINE_ACCELERATION): auto is graphs on CUDA and off on the CPU.
ACCELERATIONS = ("auto", "off", "graphs", "compile")


def gettext_noop(message: str) -> str:
    """Marks a sentence that people are told for translation, as Django's, which the engine does without."""
    return message


# What people read when the operator has to act first.
NOT_AVAILABLE = gettext_noop("The video model is not available right now.")

StepCallback = Callable[[int, int, int], None]
"""Called after each denoising step with (place of the spec, steps done, steps in all), once per spec still rendered.

Called with the last step once more before frames are decoded that had to wait for those of another spec. May raise
RenderCancelled to end that spec alone; anything else that it raises ends all of them.
"""

Outcome: TypeAlias = "npt.NDArray[np.uint8] | Exception"
"""Frames (frames, height, width, 3), RGB; or the EngineError or RenderCancelled that ended this spec alone."""


@dataclass(frozen=True)
class VideoSpec:
    """One clip to render. Sides are pixels of the rendered clip, before the card's upscale."""

    prompt: str
    seed: int
    negative_prompt: str = ""
    frames: int = 16
    width: int = 256
    height: int = 256
    fps: float = 8
    steps: int = 50
    guidance_scale: float = 9.0
    preset: str = EXACT


class EngineError(Exception):
    """A render or a start-up that failed.

    public_reason is a sentence fit for the person who asked; str(error) is for the operator.
    retryable says whether the same request may succeed on another attempt.
    """

    def __init__(self, message: str, *, public_reason: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.public_reason = public_reason
        self.retryable = retryable


class CheckpointError(EngineError):
    """The model folder cannot be served. problems lists every fault found, each naming its file."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems), public_reason=NOT_AVAILABLE)
        self.problems = list(problems)


class RenderCancelled(Exception):
    """Raised by a step callback: somebody pressed cancel, or the lease is no longer ours."""


class Engine(Protocol):
    """Makes frames from specs. One instance per process, loaded once, used from one thread."""

    card: ModelCard

    def render(self, specs: Sequence[VideoSpec], on_step: StepCallback) -> list[Outcome]:
        """Return one outcome per spec, in order; they advance together, step by step. render_one is for a single spec.

        All specs share frames, width, height, steps, preset. What one of them meets (a cancel, a value out of range,
        broken numbers) is its outcome and leaves the others as they are, up to float tolerance. Raises what cannot be
        laid to one of them, such as an EngineError for a full memory: then none has frames.
        """
        ...

    def together(self, spec: VideoSpec, most: int | None = None) -> int:
        """Return how many requests of spec's size to hand to one render: most, or fewer where memory holds no more.

        most: as many as pay on this machine, unless given; 1 where a shared pass saves nothing.
        """
        ...

    def ignored_text(self, prompt: str) -> str:
        """Return the tail of the prompt that the text encoder cannot see ("" when all of it fits)."""
        ...

    def describe_device(self) -> str:
        """Return what it renders on and how much of the memory is taken, for operators."""
        ...

    def self_test(self) -> None:
        """Prove that prompts reach the network: raises EngineError naming what is broken."""
        ...


def render_one(
    engine: Engine, spec: VideoSpec, on_step: Callable[[int, int], None] = lambda done, total: None
) -> npt.NDArray[np.uint8]:
    """Return the frames of a single spec. on_step gets (steps done, steps in all). Raises what ended the render."""
    [outcome] = engine.render([spec], lambda _, done, total: on_step(done, total))
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
