"""Makes videos from words: base.py (the promise), card.py (what a model says of itself), video.py, modelscope/."""

from __future__ import annotations

from pathlib import Path

from generations.engine.base import Engine
from generations.engine.card import DEMO_MODEL


def load_engine(model: str | Path = DEMO_MODEL, device: str = "auto") -> Engine:
    """Load a model folder once, ready to render. device: "auto", "cpu", "cuda" or "cuda:N".

    Torch is imported here and nowhere above, so web and bot processes may import this package freely.
    Raises CheckpointError with every fault of the folder, or EngineError when the device or the memory is not there.
    """
    from generations.engine.modelscope.pipeline import ModelScopeEngine

    return ModelScopeEngine(model, device)
