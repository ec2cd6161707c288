from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generations.engine.base import EngineError, VideoSpec, render_one
from generations.engine.modelscope import memory
from generations.engine.modelscope.pipeline import ModelScopeEngine

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def silent(place: int, done: int, steps: int) -> None:
    """A step callback that wants nothing."""


@pytest.fixture(scope="module")
def on_gpu(model_folder: Path) -> ModelScopeEngine:
    return ModelScopeEngine(model_folder, "cuda")


def test_a_gpu_passes_the_self_test_in_half_precision(on_gpu: ModelScopeEngine) -> None:
    on_gpu.self_test()
    assert {parameter.dtype for parameter in on_gpu.unet.parameters()} == {torch.float16}


def test_a_gpu_repeats_itself(on_gpu: ModelScopeEngine, spec: VideoSpec) -> None:
    first, again = (render_one(on_gpu, spec) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_gpu_in_full_precision_draws_what_the_cpu_draws(
    engine: ModelScopeEngine, model_folder: Path, spec: VideoSpec
) -> None:
    on_gpu = ModelScopeEngine(model_folder, "cuda:0", dtype=torch.float32)
    difference = render_one(on_gpu, spec).astype(int) - render_one(engine, spec)
    assert abs(difference).mean() < 1


def test_a_gpu_beyond_the_last_is_refused(model_folder: Path) -> None:
    with pytest.raises(EngineError, match=f"sees {torch.cuda.device_count()} CUDA GPU"):
        ModelScopeEngine(model_folder, f"cuda:{torch.cuda.device_count()}")


def test_a_gpu_draws_with_graphs_what_it_draws_without(
    on_gpu: ModelScopeEngine, model_folder: Path, spec: VideoSpec
) -> None:
    plain = ModelScopeEngine(model_folder, "cuda", acceleration="off")
    on_gpu.self_test()
    difference = render_one(on_gpu, spec).astype(int) - render_one(plain, spec)
    assert abs(difference).max() <= 1
    assert (on_gpu.accelerated.on, plain.accelerated.on) == (True, False)


def test_a_gpu_draws_four_together_as_it_draws_them_alone(on_gpu: ModelScopeEngine, spec: VideoSpec) -> None:
    specs = [replace(spec, seed=seed, guidance_scale=1.0 + seed) for seed in range(4)]
    for found, one in zip(on_gpu.render(specs, silent), specs, strict=True):
        assert isinstance(found, np.ndarray)
        assert abs(found.astype(int) - render_one(on_gpu, one)).mean() < 1
    assert (on_gpu.together(spec), on_gpu.together(spec, 2)) == (4, 2)


def test_a_gpu_says_how_much_of_its_memory_is_free(on_gpu: ModelScopeEngine) -> None:
    free = memory.free_memory(on_gpu.device)
    assert free is not None
    assert 0 < free <= torch.cuda.get_device_properties(on_gpu.device).total_memory
