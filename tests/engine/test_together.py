"""Several prompts in one render: passes are shared, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from generations.engine.base import EngineError, Outcome, RenderCancelled, VideoSpec, render_one
from generations.engine.modelscope import memory
from generations.engine.modelscope.pipeline import ModelScopeEngine, NotFinite
from generations.engine.modelscope.unet import UNet
from tests.engine.test_memory import failing, recording
from tests.engine.test_render import silent
from tests.engine.test_turbo import small_lora, write

# Levels of 255: how many clips share a pass changes the order of sums, and that the last bits.
TOLERANCE = 1


@pytest.fixture
def four(spec: VideoSpec) -> list[VideoSpec]:
    """Nothing the same but what must be."""
    return [
        spec,
        replace(spec, prompt="a blue square", seed=8, guidance_scale=3.0, negative_prompt="blurred"),
        replace(spec, prompt="a green triangle", seed=9, guidance_scale=1.0),
        replace(spec, prompt="", seed=10, guidance_scale=14.0),
    ]


def assert_same(found: Sequence[Outcome], expected: Sequence[Outcome]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, np.ndarray)
        assert isinstance(other, np.ndarray)
        assert abs(one.astype(int) - other).max() <= TOLERANCE


@pytest.mark.parametrize("preset", ["exact", "balanced", "fast", "draft"])
def test_four_together_are_the_four_alone(
    engine: ModelScopeEngine, four: list[VideoSpec], preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [replace(one, preset=preset, steps=4) for one in four]
    alone = [render_one(engine, one) for one in specs]
    assert len({frames.tobytes() for frames in alone}) == 4
    asked: list[int | None] = []
    with monkeypatch.context() as patch:
        patch.setattr(UNet, "denoise", recording(UNet.denoise, asked))
        assert_same(engine.render(specs, silent), alone)
    assert_same(engine.render(specs[::-1], silent)[::-1], alone)
    assert max(prompts or 0 for prompts in asked) == 8, "both prompts of all four in one pass"


def test_turbo_together_is_turbo_alone(model_folder: Path, tmp_path: Path, four: list[VideoSpec]) -> None:
    engine = ModelScopeEngine(model_folder, "cpu", write(tmp_path, small_lora()))
    specs = [replace(one, preset="turbo", steps=4) for one in four]
    assert_same(engine.render(specs, silent), [render_one(engine, one) for one in specs])


def test_progress_is_told_of_each_and_decoding_shows_signs_of_life(
    engine: ModelScopeEngine, four: list[VideoSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int, int] | str] = []
    decode = engine.decode
    monkeypatch.setattr(engine, "decode", lambda latents: told.append("decoding") or decode(latents))
    engine.render(four[:3], lambda *step: told.append(step))
    steps = [(place, done, 2) for done in (1, 2) for place in range(3)]
    assert told == [*steps, "decoding", (1, 2, 2), "decoding", (2, 2, 2), "decoding"]


def test_a_cancel_while_another_is_decoded_still_counts(engine: ModelScopeEngine, four: list[VideoSpec]) -> None:
    told: list[int] = []

    def cancel(place: int, done: int, total: int) -> None:
        told.append(place)
        if told.count(1) == 3:
            raise RenderCancelled

    first, second = engine.render(four[:2], cancel)
    assert_same([first], [render_one(engine, four[0])])
    assert isinstance(second, RenderCancelled)


@pytest.mark.parametrize("preset", ["exact", "fast"])
def test_one_that_is_cancelled_and_one_that_breaks_leave_the_others_as_they_are(
    engine: ModelScopeEngine, four: list[VideoSpec], preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [replace(one, preset=preset, steps=4) for one in four]
    alone = [render_one(engine, one) for one in specs]
    told: list[tuple[int, int]] = []

    def cancel_the_second(place: int, done: int, total: int) -> None:
        told.append((place, done))
        if (place, done) == (1, 1):
            raise RenderCancelled

    noise = engine.noise

    def broken_noise(spec: VideoSpec, generator: torch.Generator | None = None) -> Tensor:
        return noise(spec, generator) * (float("nan") if spec.seed == 10 else 1)

    monkeypatch.setattr(engine, "noise", broken_noise)
    outcomes = engine.render(specs, cancel_the_second)
    assert isinstance(outcomes[1], RenderCancelled)
    assert isinstance(outcomes[3], NotFinite)
    assert "seed 10" in str(outcomes[3])
    assert outcomes[3].retryable
    assert_same([outcomes[0], outcomes[2]], [alone[0], alone[2]])
    assert told == [(0, 1), (1, 1), (2, 1), *((place, done) for done in (2, 3, 4) for place in (0, 2)), (2, 4)]


def test_a_value_out_of_range_is_refused_alone(engine: ModelScopeEngine, four: list[VideoSpec]) -> None:
    told: set[int] = set()
    wrong, right = engine.render([replace(four[0], guidance_scale=99.0), four[1]], lambda place, *_: told.add(place))
    assert isinstance(wrong, EngineError)
    assert str(wrong) == "guidance_scale must be a number from 1 to 30, not 99.0."
    assert_same([right], [render_one(engine, four[1])])
    assert told == {1}


def test_what_a_callback_raises_beside_a_cancel_ends_all(engine: ModelScopeEngine, four: list[VideoSpec]) -> None:
    def time_is_up(place: int, done: int, total: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        engine.render(four, time_is_up)
    engine.render(four, silent)


def test_only_what_overflows_in_half_precision_is_rendered_again(
    own_folder: Path, four: list[VideoSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ModelScopeEngine(own_folder, "cpu", dtype=torch.float16)
    denoise = engine.denoise

    def overflowing(latents: Tensor, time: Tensor, text: Any, *rest: Any) -> Tensor:
        found = denoise(latents, time, text, *rest)
        if engine.unet.out[2].weight.dtype == torch.float16 and len(latents) == 2:
            found[1::2] = torch.inf
        return found

    monkeypatch.setattr(engine, "denoise", overflowing)
    told: list[tuple[int, int]] = []
    outcomes = engine.render(four[:2], lambda place, done, total: told.append((place, done)))
    assert told == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [isinstance(outcome, np.ndarray) for outcome in outcomes] == [True, True]
    assert engine.unet.out[2].weight.dtype == torch.float16


@pytest.mark.parametrize(
    ("free", "asked"),
    [(9, [8] * 2), (8, [8] * 2), (7, [6, 2] * 2), (2, [2] * 8), (1, [1] * 8)],
    ids=lambda value: str(value),
)
def test_as_many_share_a_pass_as_memory_holds(
    engine: ModelScopeEngine,
    four: list[VideoSpec],
    free: int,
    asked: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = [render_one(engine, one) for one in four]
    monkeypatch.setattr(engine, "plan", lambda spec, requests=1: memory.Plan(weights=0, least=1, pair=2 * requests))
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    found: list[int | None] = []
    monkeypatch.setattr(UNet, "denoise", recording(UNet.denoise, found))
    assert_same(engine.render(four, silent), expected)
    assert found == asked
    assert engine.together(four[0], 4) == max(1, free // 2 if free < 8 else 4)
    assert engine.together(four[0]) == 1, "on a processor nothing is shared unless somebody asks for it"


def test_a_pass_that_runs_out_of_memory_is_shared_by_fewer(
    engine: ModelScopeEngine, four: list[VideoSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [render_one(engine, one) for one in four]
    asked: list[int | None] = []
    monkeypatch.setattr(UNet, "denoise", recording(failing(2, UNet.denoise), asked))
    assert_same(engine.render(four, silent), expected)
    # Eight prompts, then four, do not fit; from then on two.
    assert asked == [8, 4, *[2] * 8]
