"""Makes videos from words: base.py (the promise), card.py (what a model says of itself), video.py, modelscope/."""

from __future__ import annotations

from pathlib import Path

from generations.engine.base import NOT_AVAILABLE, Engine, EngineError
from generations.engine.card import DEMO_MODEL


def load_engine(
    model: str | Path = DEMO_MODEL, device: str = "auto", turbo_lora: str | Path = "", acceleration: str = "auto"
) -> Engine:
    """Load a model folder once, ready to render. device: "auto", "cpu", "cuda" or "cuda:N".

    turbo_lora: a few-step LoRA in PEFT's format; with one there is a preset called turbo.
    acceleration: how the UNet is run, one of base.ACCELERATIONS; what does not work on this machine is told and left.

    Torch is imported here and nowhere above, so web and bot processes may import this package freely.
    Raises CheckpointError with every fault of the folder, or EngineError when the device, the memory or a library is
    not there.
    """
    try:
        from generations.engine.modelscope.pipeline import ModelScopeEngine
    except (ImportError, RuntimeError) as error:
        # torchvision built for another torch fails with a RuntimeError while open_clip is imported.
        message = f"The engine's libraries cannot be imported (pip install -r requirements.txt): {error}"
        raise EngineError(message, public_reason=NOT_AVAILABLE) from error
    return ModelScopeEngine(model, device, turbo_lora, acceleration)
