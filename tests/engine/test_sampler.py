"""DPM-Solver++ against the scheduler that everybody uses, and the arithmetic of guidance."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from generations.engine.modelscope import sampler

# diffusers 0.42.1 hands tensors to numpy in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


def diffusers_scheduler() -> Any:
    """As the card of ModelScope's weights in diffusers' format sets it up."""
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )


def estimate(sample: Tensor, t: int) -> Tensor:
    """Some noise estimate that depends on everything and is no straight line."""
    return torch.tanh(sample * (1 + t / 500)) - 0.3 * torch.roll(sample, 1, dims=-1)


def noise() -> Tensor:
    return torch.randn(1, 4, 2, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 14, 15, 25, 50])
def test_dpm_solver_equals_diffusers_step_by_step(steps: int) -> None:
    scheduler = diffusers_scheduler()
    scheduler.set_timesteps(steps)
    visits = sampler.solver_timesteps(steps)
    assert [t for t, _ in visits] == scheduler.timesteps.tolist()

    alphas, before = sampler.alphas_cumprod(), None
    ours = theirs = noise()
    for t, t_prev in visits:
        # diffusers keeps its schedule in float32; each step starts from one sample, so that rounding cannot add up.
        theirs = scheduler.step(estimate(ours, t), t, ours).prev_sample
        ours, before = sampler.dpm_solver_step(estimate(ours, t), t, t_prev, ours, alphas, before)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert float(ours.std()) > 0.1


def test_the_last_step_leaves_no_noise() -> None:
    assert sampler.solver_timesteps(25)[0] == (999, 959)
    assert sampler.solver_timesteps(25)[-1] == (40, sampler.CLEAN)
    alphas, clean = sampler.alphas_cumprod(), noise()
    sample = alphas[40].sqrt() * clean + (1 - alphas[40]).sqrt() * torch.ones_like(clean)
    left, _ = sampler.dpm_solver_step(torch.ones_like(clean), 40, sampler.CLEAN, sample, alphas, None)
    torch.testing.assert_close(left, clean)


def exact_prediction(sample: Tensor, t: int, clean: Tensor, alphas: Tensor) -> Tensor:
    """What a perfect network says when the data is one point."""
    return (sample - alphas[t].sqrt() * clean) / (1 - alphas[t]).sqrt()


@pytest.mark.parametrize("name", ["ddim", "dpm_solver", "lcm"])
def test_every_sampler_finds_the_only_picture_there_is(name: str) -> None:
    alphas, clean, before = sampler.alphas_cumprod(), noise(), None
    sample = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for t, t_prev in sampler.visits(name, 10):
        prediction = exact_prediction(sample, t, clean, alphas)
        sample, before = sampler.advance(name, prediction, t, t_prev, sample, alphas, before, noise)
    # DDIM as upstream stops at timestep 0, where 3 % of the noise is left.
    assert float((sample - clean).abs().max()) < {"ddim": 0.2, "dpm_solver": 1e-9, "lcm": 1e-3}[name]


@pytest.mark.parametrize("steps", [0, -1, 1000])
def test_an_impossible_step_count_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="steps must be from 1 to 999"):
        sampler.visits("dpm_solver", steps)


def test_a_difference_that_has_not_changed_gives_the_same_guidance() -> None:
    unconditional, conditional = noise(), noise() * 0.5 + 1
    again = sampler.guide_again(conditional, conditional - unconditional, 9.0)
    torch.testing.assert_close(again, sampler.guide(unconditional, conditional, 9.0))
