from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generations.engine.base import EngineError, RenderCancelled, VideoSpec, render_one
from generations.engine.card import InvalidSpec
from generations.engine.modelscope.pipeline import NO_LONGER, ModelScopeEngine
from tests.engine.checkpoint import AUTOENCODER_FILE, UNET_FILE, edit_state


def silent(place: int, done: int, steps: int) -> None:
    """A step callback that wants nothing."""


def test_a_video_has_the_stated_shape_and_is_not_flat(engine: ModelScopeEngine, spec: VideoSpec) -> None:
    frames = render_one(engine, spec)
    assert (frames.shape, frames.dtype) == ((4, 64, 64, 3), np.uint8)
    assert frames.flags.c_contiguous
    assert frames.std() > 10


def test_the_same_request_gives_the_same_frames_with_other_work_in_between(
    engine: ModelScopeEngine, spec: VideoSpec
) -> None:
    first = render_one(engine, spec)
    torch.randn(1000)
    render_one(engine, replace(spec, prompt="a dog", seed=99, frames=3, width=72))
    again = render_one(engine, spec)
    assert np.array_equal(first, again)


def test_a_fresh_process_would_give_the_same_frames(
    engine: ModelScopeEngine, model_folder: Path, spec: VideoSpec
) -> None:
    assert np.array_equal(render_one(engine, spec), render_one(ModelScopeEngine(model_folder), spec))


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a blue circle moving left"},
        {"seed": 8},
        {"negative_prompt": "a red circle"},
        {"guidance_scale": 4.0},
        {"steps": 3},
    ],
    ids=str,
)
def test_every_setting_changes_the_video(engine: ModelScopeEngine, spec: VideoSpec, change: dict[str, Any]) -> None:
    assert not np.array_equal(render_one(engine, spec), render_one(engine, replace(spec, **change)))


@pytest.mark.parametrize(("width", "height", "frames"), [(64, 72, 1), (104, 64, 2), (72, 88, 5)])
def test_sides_may_be_any_multiple_of_8_and_need_not_be_equal(
    engine: ModelScopeEngine, width: int, height: int, frames: int
) -> None:
    spec = engine.card.spec("a", seed=1, width=width, height=height, frames=frames, steps=1)
    assert render_one(engine, spec).shape == (frames, height, width, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"frames": 0}, "frames must be a whole number from 1 to 32, not 0."),
        ({"frames": 125}, "frames must be a whole number from 1 to 32, not 125."),
        ({"frames": -1}, "frames must be a whole number from 1 to 32, not -1."),
        ({"frames": 1.5}, "frames must be a whole number from 1 to 32, not 1.5."),
        ({"frames": "abc"}, "frames must be a whole number from 1 to 32, not abc."),
        ({"width": 65}, "width must be a multiple of 8 from 64 to 576, not 65."),
        ({"height": 1024}, "height must be a multiple of 8 from 64 to 576, not 1024."),
        ({"steps": 0}, "steps must be a whole number from 1 to 100, not 0."),
        ({"seed": -1}, "seed must be a whole number from 0 to 2147483647, not -1."),
        ({"guidance_scale": float("nan")}, "guidance_scale must be a number from 1 to 30, not nan."),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused_with_the_range(
    engine: ModelScopeEngine, spec: VideoSpec, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(EngineError) as caught:
        render_one(engine, replace(spec, **change))
    assert (str(caught.value), caught.value.retryable) == (reason, False)
    assert caught.value.public_reason == NO_LONGER
    with pytest.raises(InvalidSpec) as refused:
        engine.card.check(replace(spec, **change))
    assert (str(refused.value), refused.value.field) == (reason, next(iter(change)))


def test_specs_of_two_sizes_do_not_share_a_pass(engine: ModelScopeEngine, spec: VideoSpec) -> None:
    with pytest.raises(ValueError, match="must share frames, width, height, steps and preset"):
        engine.render([spec, replace(spec, frames=3)], silent)
    with pytest.raises(ValueError, match="at least one spec"):
        engine.render([], silent)


def test_progress_counts_every_step_once(engine: ModelScopeEngine, spec: VideoSpec) -> None:
    told: list[tuple[int, int]] = []
    render_one(engine, replace(spec, steps=3), lambda *step: told.append(step))
    # 3 does not divide 1000, so upstream's sampler makes one visit more.
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_cancelled_video_stops_at_the_next_step_and_the_engine_goes_on(
    engine: ModelScopeEngine, spec: VideoSpec
) -> None:
    told: list[int] = []

    def cancel(done: int, steps: int) -> None:
        told.append(done)
        raise RenderCancelled

    with pytest.raises(RenderCancelled):
        render_one(engine, spec, cancel)
    assert told == [1]
    render_one(engine, spec)


@pytest.mark.parametrize(
    ("file", "tensor", "size", "where"),
    [
        (UNET_FILE, "out__2__bias", 4, "latents after step 1 of 2"),
        (AUTOENCODER_FILE, "first_stage_model__decoder__conv_in__bias", 32, "decoded frames"),
    ],
    ids=["latents", "frames"],
)
def test_numbers_that_overflow_fail_instead_of_giving_a_black_video(
    own_folder: Path, spec: VideoSpec, file: str, tensor: str, size: int, where: str
) -> None:
    edit_state(own_folder / file, **{tensor: torch.full((size,), 3e38)})
    engine = ModelScopeEngine(own_folder, "cpu")
    with pytest.raises(EngineError, match=f"non-finite output: {where}") as caught:
        render_one(engine, spec)
    assert caught.value.retryable
    assert "broken" in caught.value.public_reason
    with pytest.raises(EngineError, match="Self-test failed"):
        engine.self_test()


def test_half_precision_stays_close_to_full_precision(
    engine: ModelScopeEngine, model_folder: Path, spec: VideoSpec
) -> None:
    """The arithmetic of a CUDA worker, on the CPU."""
    half = ModelScopeEngine(model_folder, "cpu", dtype=torch.float16)
    half.self_test()
    latents, context = engine.noise(spec), engine.encode("", spec.prompt)
    expected = engine.predict(latents, 501, context)
    with torch.inference_mode():
        found = half.predict(latents, 501, half.encode("", spec.prompt))
    assert float((found - expected).abs().max()) < 0.05 * float(expected.std())
    assert render_one(half, spec).std() > 10
