"""Latents to pixels: ModelScope's AutoencoderKL (the one of Stable Diffusion), unmodified."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from generations.engine.modelscope.configuration import LATENT_CHANNELS
from generations.engine.modelscope.upstream import upstream_module

# Upstream's scale_factor: the diffusion model sees latents of about unit variance.
LATENT_SCALE = 0.18215
# Latent cells decoded at once: four frames of 256x256 pixels, about 1 GB of activations in float32 at ch 128.
CELLS_AT_ONCE = 4 * 32 * 32


def build_autoencoder(ddconfig: dict[str, Any]) -> nn.Module:
    """Build AutoencoderKL from its ddconfig; weights are torch's initial ones until loaded."""
    network: nn.Module = upstream_module("autoencoder").AutoencoderKL(ddconfig, LATENT_CHANNELS)
    return network


def decode(autoencoder: nn.Module, latents: Tensor) -> Tensor:
    """Return pixels (F, 3, H, W), float32, about -1..1, from latents (1, 4, F, h, w).

    Frames are decoded in chunks, which bounds memory whatever their number. The chunk follows from the size alone, so
    the same request always takes the same path and gives the same numbers.
    """
    frames = latents[0].transpose(0, 1) / LATENT_SCALE
    chunk = max(1, CELLS_AT_ONCE // (frames.shape[2] * frames.shape[3]))
    return torch.cat([autoencoder.decode(part).float() for part in frames.split(chunk)])  # type: ignore[operator]
