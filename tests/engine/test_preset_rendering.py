"""What the engine draws with each preset, and what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from generations.engine.base import VideoSpec, render_one
from generations.engine.modelscope import pipeline, sampler
from generations.engine.modelscope.clips import Texts
from generations.engine.modelscope.pipeline import ModelScopeEngine
from generations.engine.modelscope.unet import Below
from generations.engine.presets import Work
from tests.engine.test_sampler import diffusers_scheduler

# diffusers 0.42.1 hands tensors to numpy in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


def with_preset(spec: VideoSpec, name: str, steps: int = 4) -> VideoSpec:
    return replace(spec, preset=name, steps=steps, guidance_scale=6.0)


@torch.no_grad()
def test_balanced_ends_where_diffusers_scheduler_ends(
    engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    final: list[Tensor] = []
    decode = pipeline.decode

    def recording(network: Any, latents: Tensor, *arguments: Any) -> Tensor:
        final.append(latents)
        return decode(network, latents, *arguments)

    monkeypatch.setattr(pipeline, "decode", recording)
    spec = with_preset(spec, "balanced", steps=6)
    render_one(engine, spec)

    scheduler = diffusers_scheduler()
    scheduler.set_timesteps(6)
    expected, text = engine.noise(spec), engine.encode("", spec.prompt)
    for t in scheduler.timesteps.tolist():
        estimate = sampler.guide(*engine.predict(expected, t, text).chunk(2), 6.0)
        expected = scheduler.step(estimate, t, expected).prev_sample
    assert float(expected.std()) > 0.1
    assert float((final[0] - expected).abs().max()) < 1e-3 * float(expected.std())


def test_each_preset_draws_its_own_clip_and_the_same_one_every_time(engine: ModelScopeEngine, spec: VideoSpec) -> None:
    clips = {}
    for name in engine.card.presets:
        clips[name] = render_one(engine, with_preset(spec, name))
        again = render_one(engine, with_preset(spec, name))
        assert np.array_equal(again, clips[name]), name
    # Balanced and draft differ in nothing but their own number of steps.
    assert np.array_equal(clips.pop("draft"), clips["balanced"])
    assert len({clip.tobytes() for clip in clips.values()}) == len(clips)


def counting(name: str, method: Any, computed: list[tuple[str, int]]) -> Any:
    def called(latents: Tensor, time: Tensor, text: Any, *rest: Any) -> Any:
        computed.append((name, len(text)))
        return method(latents, time, text, *rest)

    return called


def test_fast_computes_half_of_the_estimates_once_and_half_of_the_passes_at_the_outermost_level_only(
    engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[tuple[str, int]] = []
    for name in ("denoise", "denoise_outermost"):
        monkeypatch.setattr(engine.unet, name, counting(name, getattr(engine.unet, name), computed))
    render_one(engine, with_preset(spec, "fast"))
    assert computed == [("denoise", 2), ("denoise_outermost", 2), ("denoise", 1), ("denoise_outermost", 1)]


@torch.no_grad()
@pytest.mark.parametrize("at_once", [2, 1])
def test_the_outermost_level_alone_gives_the_whole_estimate_while_nothing_has_changed(
    engine: ModelScopeEngine, spec: VideoSpec, at_once: int
) -> None:
    latents, text, below = engine.noise(spec), engine.text_context("", spec.prompt), Below()
    [time] = engine.time_table([901])
    whole = engine.unet.denoise(latents, time, text, at_once, below)
    again = engine.unet.denoise_outermost(latents, time, text, at_once, below)
    torch.testing.assert_close(again, whole, rtol=1e-4, atol=1e-4 * float(whole.std()))
    conditional = engine.unet.denoise_outermost(latents, time, text[1:], at_once, below)
    torch.testing.assert_close(conditional, whole[1:], rtol=1e-4, atol=1e-4 * float(whole.std()))
    # It does look at what it is given.
    assert float((engine.unet.denoise_outermost(-latents, time, text, at_once, below) - whole).std()) > 1e-3


@torch.no_grad()
def test_the_outermost_level_needs_a_whole_pass_before_it(engine: ModelScopeEngine, spec: VideoSpec) -> None:
    [time] = engine.time_table([901])
    text = engine.text_context("", spec.prompt)
    with pytest.raises(ValueError, match="needs a whole pass"):
        engine.unet.denoise_outermost(engine.noise(spec), time, text, 2, Below())


@torch.no_grad()
def test_a_step_without_guidance_keeps_the_difference_of_the_last_with_it(
    engine: ModelScopeEngine, spec: VideoSpec
) -> None:
    clip, texts = engine.clip(replace(spec, guidance_scale=6.0)), Texts()
    [time] = engine.time_table([901])

    def estimate(work: Work) -> Tensor:
        [found] = engine.estimate([clip], time, work, texts, pipeline.Shrinking(2, 1))
        return found

    guided = estimate(Work())
    torch.testing.assert_close(estimate(Work(guided=False)), guided, rtol=1e-4, atol=1e-4 * float(guided.std()))
    assert clip.difference is not None
    clip.difference = clip.difference + 1
    moved = estimate(Work(guided=False)) - guided
    torch.testing.assert_close(moved, torch.full_like(moved, 5.0), rtol=1e-3, atol=1e-3)


def test_specs_of_different_presets_are_not_rendered_together(engine: ModelScopeEngine, spec: VideoSpec) -> None:
    with pytest.raises(ValueError, match="must share frames, width, height, steps and preset"):
        engine.render([with_preset(spec, "exact"), with_preset(spec, "fast")], lambda *step: None)
