"""How much arithmetic a clip costs with ModelScope's own classes: counted by torch, without weights."""

from __future__ import annotations

import functools
import logging
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.stock import DDCONFIG
from generations.engine.modelscope.upstream import upstream_module

UNET: dict[str, Any] = {
    "in_dim": 4, "dim": 320, "y_dim": 768, "context_dim": 1024, "out_dim": 4, "dim_mult": [1, 2, 4, 4],
    "num_heads": 8, "head_dim": 64, "num_res_blocks": 2, "attn_scales": [1, 0.5, 0.25], "dropout": 0.1,
    "temporal_attention": True,
}  # fmt: skip


# benchmarks.b5_cold_start draws it: a fifth of the width.
NARROW_UNET, NARROW_DDCONFIG = {**UNET, "dim": 64}, {**DDCONFIG, "ch": 32, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1}


def clip_flops(frames: int, height: int, width: int, *, steps: int, decode: bool, narrow: bool = False) -> float:
    """FLOP (two per multiply-add) of steps guided steps, two passes each, and of decoding; sides in latent cells."""
    total = 2 * steps * unet_flops(frames, height, width, narrow) if steps else 0.0
    return total + decode_flops(frames, height, width, narrow) if decode else total


@functools.cache
def unet_flops(frames: int, height: int, width: int, narrow: bool = False) -> float:
    """One pass: one clip, one text. 4,887 GFLOP for 16 frames of 256x256."""
    with torch.device("meta"):
        unet: nn.Module = upstream_module("unet_sd").UNetSD(**(NARROW_UNET if narrow else UNET)).eval()
        inputs = torch.empty(1, 4, frames, height, width), torch.ones(1, dtype=torch.long), torch.empty(1, 77, 1024)
    return counted(unet, *inputs)


@functools.cache
def decode_flops(frames: int, height: int, width: int, narrow: bool = False) -> float:
    """All frames. 9,955 GFLOP for 16 of 256x256."""
    with torch.device("meta"):
        network = upstream_module("autoencoder").AutoencoderKL(NARROW_DDCONFIG if narrow else DDCONFIG, 4).eval()
        latents = torch.empty(frames, 4, height, width)
    return counted(network.decode, latents)


def counted(do: Any, *inputs: torch.Tensor) -> float:
    # It warns of operations that it knows no formula for; they are the cheap ones.
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        do(*inputs)
    return float(counter.get_total_flops())
