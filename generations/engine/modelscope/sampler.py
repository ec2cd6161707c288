"""DDIM (Song, Meng, Ermon 2020, https://arxiv.org/abs/2010.02502) as ModelScope runs it. Pure functions, no state.

Upstream is GaussianDiffusion in modelscope/models/multi_modal/video_synthesis/diffusion.py; tests hold both equal.
Notation of the paper: alpha_t here is the cumulative product, called alphas_cumprod in most code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BETA_START, BETA_END = 0.00085, 0.0120


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
