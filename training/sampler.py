"""DDIM as ModelScope runs it, on the training modules: for checks while training. The product's engine ships clips."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from training.clips import decode
from training.fast_unet import FastUNet
from training.text import TextTower, tokens
from training.upstream import Network, alphas_cumprod, short_floats
from training.world import FRAMES


@torch.no_grad()
def sample(
    unet: Network,
    autoencoder: Network,
    tower: TextTower,
    prompts: Sequence[str],
    *,
    seed: int,
    steps: int = 20,
    guidance: float = 2.0,
    frames: int = FRAMES,
    batch: int = 8,
    temporal: bool = True,
) -> torch.Tensor:
    """Return clips (n, frames, 3, 64, 64) in -1..1; clip i is drawn from seed + i."""
    fast = FastUNet(unet)
    alphas = alphas_cumprod()
    device = next(unet.parameters()).device
    stride = 1000 // steps
    times = [1 + stride * i for i in reversed(range(steps))]
    clips = []
    for first in range(0, len(prompts), batch):
        part = list(prompts[first : first + batch])
        text = tower(tokens([*part, ""]).to(device))
        text = torch.cat([text[:-1], text[-1:].expand(len(part), -1, -1)])
        x = torch.cat(
            [
                torch.randn(1, 4, frames, 8, 8, generator=torch.Generator().manual_seed(seed + first + i))
                for i in range(len(part))
            ]
        ).to(device)
        for t in times:
            with short_floats():
                noise, _ = fast(x.repeat(2, 1, 1, 1, 1), torch.full((2 * len(part),), t, device=device), text, temporal)
            wanted, empty = noise.chunk(2)
            noise = empty + guidance * (wanted - empty)
            now, then = float(alphas[t]), float(alphas[max(t - stride, 0)])
            x0 = (x - (1 - now) ** 0.5 * noise) / now**0.5
            x = then**0.5 * x0 + (1 - then) ** 0.5 * noise
        rgb = decode(autoencoder, x.transpose(1, 2).flatten(0, 1))
        clips.append(rgb.view(len(part), frames, 3, *rgb.shape[-2:]))
    return torch.cat(clips)
