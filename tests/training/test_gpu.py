"""The UNet's training step on a GPU. No GPU is needed: torch's fake tensors compute nothing, but mind their devices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import training.unet
import training.upstream
from training.unet import CLIPS, IMAGES, Batch, Recipe, Trainer
from training.upstream import build_unet


class Reached(Exception):
    """The step came as far as this test can see."""


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize("recipe", [IMAGES, CLIPS], ids=lambda recipe: recipe.name)
def test_a_step_mixes_no_tensors_of_two_devices(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (training.unet, training.upstream):
        monkeypatch.setattr(module, "device", lambda: torch.device("cuda"))
    frames = recipe.frames or 16
    with FakeTensorMode():
        # Built there: fake weights can be neither moved nor copied.
        monkeypatch.setattr(training.unet, "copy", SimpleNamespace(deepcopy=lambda unet: build_unet()))
        monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: module)
        with torch.device("cuda"):
            trainer = Trainer(1, temporal_scale=1.0)
        gpu: dict[str, Any] = {"device": "cuda"}
        batch = Batch(
            torch.randn(4, 4, frames, 8, 8, **gpu),
            torch.randn(4, frames, 4, **gpu),
            torch.randn(4, 77, 1024, **gpu),
            torch.zeros(4, 3, dtype=torch.long, **gpu),
            2,
        )
        assert next(trainer.unet.parameters()).device.type == "cuda"

        def reached() -> None:
            raise Reached

        # Everything up to the loss: the way back needs a real device.
        monkeypatch.setattr(trainer.optimiser, "zero_grad", lambda set_to_none: reached())
        with pytest.raises(Reached):
            trainer.step(batch, torch.Generator(), recipe, rate=1e-3, step=1)
