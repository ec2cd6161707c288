"""From noise to latents: DDIM as ModelScope runs it, and DPM-Solver++ for fewer steps. Pure functions, no state.

DDIM (Song, Meng, Ermon 2020, https://arxiv.org/abs/2010.02502). Upstream is GaussianDiffusion in
modelscope/models/multi_modal/video_synthesis/diffusion.py; tests hold both equal.
DPM-Solver++ (Lu et al. 2022, https://arxiv.org/abs/2211.01095), the multistep solver of order 2, called 2M. Tests hold
it equal to DPMSolverMultistepScheduler of diffusers.
LCM (Luo et al. 2023, https://arxiv.org/abs/2310.04378) for networks distilled to few steps; likewise LCMScheduler.
Notation of the first paper: alpha_t here is the cumulative product, called alphas_cumprod in most code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

BETA_START, BETA_END = 0.00085, 0.0120
# Few-step training visits this many timesteps; inference picks some of them.
LCM_TRAINING_STEPS = 50
# As MCM runs its LoRAs. Upstream's sigma of the data, 0.5, is LCM's own.
LCM_TIMESTEP_SCALING, LCM_SIGMA_DATA = 4.0, 0.5
# Stands for "no noise left" where a timestep is expected; timestep 0 still has a little.
CLEAN = -1


@dataclass(frozen=True)
class Before:
    """What a multistep solver remembers of the step before: its timestep and the x0 predicted there."""

    t: int
    x0: Tensor


def alphas_cumprod(num_timesteps: int = 1000) -> Tensor:
    """Return alpha_t for every training timestep, float64, shape (num_timesteps,), falling from near 1 to near 0.

    Upstream's beta_schedule("linear_sd"): betas linear in their square roots.
    """
    betas = torch.linspace(math.sqrt(BETA_START), math.sqrt(BETA_END), num_timesteps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def timesteps(steps: int, num_timesteps: int = 1000) -> list[tuple[int, int]]:
    """Return (t, t_prev) for each denoising step, noisiest first, as ddim_sample_loop visits them.

    t = 1 + k * stride with stride = num_timesteps // steps, and t_prev = t - stride, never below 0.
    Upstream fills the whole range with that stride, so a count that does not divide num_timesteps gets a little
    more than it asked for (30 steps: stride 33, 31 visits). Kept, so that a step count means what it means upstream.
    """
    if not 1 <= steps <= num_timesteps:
        raise ValueError(f"steps must be from 1 to {num_timesteps}, not {steps}")
    stride = num_timesteps // steps
    visited = [min(1 + k, num_timesteps - 1) for k in range(0, num_timesteps, stride)]
    return [(t, max(t - stride, 0)) for t in reversed(visited)]


def guide(unconditional: Tensor, conditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho, Salimans 2022, https://arxiv.org/abs/2207.12598); shapes and dtype as given."""
    return unconditional + scale * (conditional - unconditional)


def ddim_step(prediction: Tensor, t: int, t_prev: int, sample: Tensor, alphas: Tensor) -> Tensor:
    """Return the sample at t_prev: equation 12 of the paper with sigma = 0 (eta 0), so no noise is drawn.

    prediction: the network's noise estimate; sample: the latents at t; both of one shape and dtype.
    alphas: alphas_cumprod(), float64. Upstream never clamps the predicted x0, nor does this.
    """
    alpha, alpha_prev = float(alphas[t]), float(alphas[t_prev])
    # 1. Predicted x0. 2. Direction pointing to x_t. 3. Their sum.
    x0 = math.sqrt(1 / alpha) * sample - math.sqrt(1 / alpha - 1) * prediction
    direction = math.sqrt(1 - alpha_prev) * prediction
    return math.sqrt(alpha_prev) * x0 + direction


def guide_again(conditional: Tensor, difference: Tensor, scale: float) -> Tensor:
    """Guidance without a new unconditional estimate: difference is conditional minus unconditional, kept from before.

    The same as guide() while the difference has not changed, and it changes little in the later steps (Castillo et al.
    2023, https://arxiv.org/abs/2312.12487, find the two estimates converging).
    """
    return conditional + (scale - 1) * difference


def solver_timesteps(steps: int, num_timesteps: int = 1000) -> list[tuple[int, int]]:
    """Return (t, t_prev) for each step of DPM-Solver++: evenly spaced from the noisiest, the last one to CLEAN.

    As diffusers' timestep_spacing "linspace", which its card for these weights uses with 25 steps.
    """
    if not 1 <= steps < num_timesteps:
        raise ValueError(f"steps must be from 1 to {num_timesteps - 1}, not {steps}")
    spaced = torch.linspace(0, num_timesteps - 1, steps + 1, dtype=torch.float64).round().long().tolist()
    descending = [*reversed(spaced[1:]), CLEAN]
    return list(itertools.pairwise(descending))


def dpm_solver_step(
    prediction: Tensor, t: int, t_prev: int, sample: Tensor, alphas: Tensor, before: Before | None
) -> tuple[Tensor, Before]:
    """Return the sample at t_prev, and what the next step needs to know of this one.

    Algorithm 2 of the DPM-Solver++ paper, in the variant that extrapolates with the ratio of the step sizes: of order 2
    with before, of order 1 without (the first step) and towards CLEAN (the last), where order 2 has no step size.
    prediction, sample, alphas: as in ddim_step.
    """
    signal, noise = _signal_and_noise(t, alphas)
    signal_prev, noise_prev = _signal_and_noise(t_prev, alphas)
    x0 = (sample - noise * prediction) / signal
    if t_prev == CLEAN:
        return x0, Before(t, x0)
    step = _log_ratio(t_prev, alphas) - _log_ratio(t, alphas)
    # 1. Order 1 moves along x0. 2. Order 2 along x0 extrapolated by half a step.
    target = x0
    if before is not None:
        step_before = _log_ratio(t, alphas) - _log_ratio(before.t, alphas)
        target = x0 + (step / (2 * step_before)) * (x0 - before.x0)
    return (noise_prev / noise) * sample - signal_prev * math.expm1(-step) * target, Before(t, x0)


def lcm_timesteps(steps: int, num_timesteps: int = 1000) -> list[tuple[int, int]]:
    """Return (t, t_prev) for each step of LCM: some of those it was trained on, from the noisiest, to CLEAN."""
    if not 1 <= steps <= LCM_TRAINING_STEPS:
        raise ValueError(f"steps must be from 1 to {LCM_TRAINING_STEPS}, not {steps}")
    stride = num_timesteps // LCM_TRAINING_STEPS
    trained = [stride * k - 1 for k in range(LCM_TRAINING_STEPS, 0, -1)]
    chosen = [*(trained[k * LCM_TRAINING_STEPS // steps] for k in range(steps)), CLEAN]
    return list(itertools.pairwise(chosen))


def lcm_step(prediction: Tensor, t: int, t_prev: int, sample: Tensor, alphas: Tensor, noise: Tensor) -> Tensor:
    """Return the sample at t_prev: the clean one that the network leads to from t, with new noise (none for CLEAN).

    The boundary condition's scalings make the answer the sample itself where t is 0. prediction, sample, alphas: as in
    ddim_step; noise: standard normal, of their shape.
    """
    signal, sigma = _signal_and_noise(t, alphas)
    x0 = (sample - sigma * prediction) / signal
    scaled = t * LCM_TIMESTEP_SCALING
    kept = LCM_SIGMA_DATA**2 / (scaled**2 + LCM_SIGMA_DATA**2)
    clean = kept * sample + scaled / math.sqrt(scaled**2 + LCM_SIGMA_DATA**2) * x0
    signal_prev, sigma_prev = _signal_and_noise(t_prev, alphas)
    return signal_prev * clean + sigma_prev * noise


def visits(sampler: str, steps: int, num_timesteps: int = 1000) -> list[tuple[int, int]]:
    """Return (t, t_prev) for each step of the sampler "ddim", "dpm_solver" or "lcm", noisiest first."""
    every = {"ddim": timesteps, "dpm_solver": solver_timesteps, "lcm": lcm_timesteps}
    return every[sampler](steps, num_timesteps)


def advance(
    sampler: str,
    prediction: Tensor,
    t: int,
    t_prev: int,
    sample: Tensor,
    alphas: Tensor,
    before: Before | None,
    noise: Callable[[], Tensor],
) -> tuple[Tensor, Before | None]:
    """Return the sample at t_prev, and what to hand in as before at the next step (None at the first).

    noise: draws new noise of the sample's shape; only "lcm" does.
    """
    if sampler == "ddim":
        return ddim_step(prediction, t, t_prev, sample, alphas), None
    if sampler == "lcm":
        return lcm_step(prediction, t, t_prev, sample, alphas, noise()), None
    return dpm_solver_step(prediction, t, t_prev, sample, alphas, before)


def _signal_and_noise(t: int, alphas: Tensor) -> tuple[float, float]:
    """Return the factors of x0 and of the noise in a sample at t."""
    alpha = 1.0 if t == CLEAN else float(alphas[t])
    return math.sqrt(alpha), math.sqrt(1 - alpha)


def _log_ratio(t: int, alphas: Tensor) -> float:
    """Return lambda_t of the DPM-Solver papers: the logarithm of signal over noise, in which its steps are measured."""
    signal, noise = _signal_and_noise(t, alphas)
    return math.log(signal / noise)
