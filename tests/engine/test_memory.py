"""What happens when memory is short: a plan before the render, smaller portions during it, words at the end of both."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from generations.engine.base import EngineError, VideoSpec, render_one
from generations.engine.modelscope import memory, pipeline
from generations.engine.modelscope.autoencoder import build_autoencoder, portions
from generations.engine.modelscope.configuration import read_configuration
from generations.engine.modelscope.device import Shrinking
from generations.engine.modelscope.pipeline import ModelScopeEngine
from generations.engine.modelscope.text_encoder import TextTower
from generations.engine.modelscope.unet import UNet, Upsample, build_unet
from tests.engine.checkpoint import UNET_FILE, edit_state
from tests.engine.test_full_size import MODELSCOPES_OWN


def failing(times: int, work: Callable[..., Any]) -> Callable[..., Any]:
    """As work, after so many calls that run out of memory."""
    left = [times]

    def attempt(*args: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return work(*args, **options)

    return attempt


def test_a_clip_of_modelscopes_model_fits_a_card_of_6_gb(tmp_path: Path) -> None:
    (tmp_path / "configuration.json").write_text(json.dumps(MODELSCOPES_OWN))
    configuration = read_configuration(tmp_path)
    with torch.device("meta"):
        networks = [TextTower(configuration.text), build_unet(configuration.unet)]
        autoencoder = build_autoencoder(configuration.autoencoder)
    networks = [network.half() for network in (*networks, autoencoder.decoder)]
    plan = memory.plan(networks, configuration, VideoSpec(prompt="a", seed=1))
    assert plan.weights == 2 * (1_411_233_860 + 354_032_640 + 49_490_179)
    assert 0.3e9 < plan.least < plan.pair < 0.8e9
    assert plan.weights + plan.pair < 5e9
    larger = memory.plan(networks, configuration, VideoSpec(prompt="a", seed=1, width=512))
    assert 1.6 * plan.least < larger.least < 2 * plan.least
    four = memory.plan(networks, configuration, VideoSpec(prompt="a", seed=1), requests=4)
    assert 3 * plan.pair < four.pair < 4 * plan.pair


def test_a_clip_that_does_not_fit_is_refused_before_its_first_step(
    engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = engine.plan(spec).least
    monkeypatch.setattr(memory, "free_memory", lambda device: needed - 1)
    steps: list[int] = []
    with pytest.raises(
        EngineError, match=r"Not enough memory on cpu for 4 frames of 64x64: it takes 0\.\d\d GB"
    ) as caught:
        render_one(engine, spec, lambda done, _: steps.append(done))
    assert caught.value.public_reason.endswith("Please ask for fewer frames or a smaller size.")
    assert (steps, caught.value.retryable) == ([], False)
    monkeypatch.setattr(memory, "free_memory", lambda device: needed)
    render_one(engine, spec)


def test_a_clip_that_fits_only_just_is_rendered_one_prompt_at_a_time(
    engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = render_one(engine, spec).astype(int)
    monkeypatch.setattr(engine, "plan", lambda spec, requests=1: memory.Plan(weights=0, least=100, pair=200))
    monkeypatch.setattr(memory, "free_memory", lambda device: 150)
    asked: list[int | None] = []
    monkeypatch.setattr(UNet, "denoise", recording(UNet.denoise, asked))
    assert abs(render_one(engine, spec) - expected).max() <= 1
    assert set(asked) == {1}


def recording(work: Callable[..., Tensor], asked: list[int | None]) -> Callable[..., Tensor]:
    def denoise(self: UNet, latents: Tensor, time: Tensor, text: Any, at_once: int | None = None, *rest: Any) -> Tensor:
        asked.append(at_once)
        return work(self, latents, time, text, at_once, *rest)

    return denoise


def test_a_step_that_runs_out_of_memory_goes_on_with_one_prompt_at_a_time(
    engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = render_one(engine, spec).astype(int)
    asked: list[int | None] = []
    monkeypatch.setattr(UNet, "denoise", recording(failing(1, UNet.denoise), asked))
    assert abs(render_one(engine, spec) - expected).max() <= 1
    assert asked == [2, 1, 1]


def test_a_decoding_that_runs_out_of_memory_goes_on_in_smaller_pieces(
    engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = render_one(engine, spec).astype(int)
    asked: list[int] = []
    work = failing(2, pipeline.decode)

    def decode(network: Any, latents: Tensor, frames: int) -> Tensor:
        asked.append(frames)
        result: Tensor = work(network, latents, frames)
        return result

    monkeypatch.setattr(pipeline, "decode", decode)
    assert abs(render_one(engine, spec) - expected).max() <= 1
    assert asked == [4, 2, 1]


def test_memory_that_stays_short_is_one_clear_failure_and_leaves_nothing_behind(
    engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = render_one(engine, spec)
    gc.collect()
    before = tensors()
    with monkeypatch.context() as patch:
        patch.setattr(Upsample, "forward", failing(99, Upsample.forward))
        with pytest.raises(EngineError, match=r"Not enough memory on cpu for 4 frames of 64x64: CUDA out of memory"):
            render_one(engine, spec)
    gc.collect()
    assert tensors() == before
    assert np.array_equal(render_one(engine, spec), expected)


def tensors() -> int:
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def test_portions_shrink_once_and_other_errors_pass() -> None:
    ladder = Shrinking(4, 2, 1)
    work = failing(2, lambda portion: portion)
    assert (ladder.attempt(work), ladder.attempt(lambda portion: portion)) == (1, 1)
    with pytest.raises(torch.OutOfMemoryError):
        ladder.attempt(failing(1, lambda portion: portion))
    with pytest.raises(RuntimeError, match="shape"):
        Shrinking(2, 1).attempt(lambda portion: torch.ones(2).view(3))


@pytest.mark.parametrize(
    ("shape", "device", "expected"),
    [
        ((1, 4, 16, 32, 32), "cpu", [1]),
        ((1, 4, 16, 32, 32), "cuda", [4, 2, 1]),
        ((1, 4, 16, 8, 8), "cpu", [16, 8, 4, 2, 1]),
        ((1, 4, 5, 8, 8), "cpu", [5, 2, 1]),
        ((1, 4, 16, 72, 72), "cuda", [1]),
    ],
)
def test_large_frames_are_decoded_few_at_once(shape: tuple[int, ...], device: str, expected: list[int]) -> None:
    assert portions(shape, device) == expected


def test_half_precision_that_overflows_is_rendered_once_more_in_full(own_folder: Path, spec: VideoSpec) -> None:
    """Estimates of 65000 and more are beyond float16, not beyond float32; the weights come back as they were."""
    large = 100 * torch.randn(4, 32, 3, 3, generator=torch.Generator().manual_seed(1))
    edit_state(own_folder / UNET_FILE, out__2__bias=torch.full((4,), 6.5e4), out__2__weight=large)
    engine = ModelScopeEngine(own_folder, "cpu", dtype=torch.float16)
    before = {name: value.clone() for name, value in engine.unet.state_dict().items()}
    told: list[int] = []
    latents = engine.noise(spec)
    assert not torch.isfinite(engine.predict(latents, 501, engine.encode("", "a"))).all()
    render_one(engine, replace(spec, guidance_scale=1.0), lambda done, _: told.append(done))
    assert told == [1, 2]
    for name, value in engine.unet.state_dict().items():
        assert value.dtype == torch.float16
        assert torch.equal(value, before[name])


def test_the_machine_says_how_much_memory_is_free() -> None:
    free = memory.free_memory(torch.device("cpu"))
    assert free is not None
    assert 10e6 < free < 1e13
