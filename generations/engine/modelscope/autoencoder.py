"""Latents to pixels: the decoder of ModelScope's AutoencoderKL (the one of Stable Diffusion), arranged for speed.

Upstream is modelscope/models/multi_modal/video_synthesis/autoencoder.py. Ours loads its state dict unchanged and tests
hold both equal. Activations are images with channels last (operations.py), and what upstream writes out is done in
place or fused, which is most of its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from generations.engine.modelscope.configuration import LATENT_CHANNELS
from generations.engine.modelscope.operations import attention, convolution, group_norm
from generations.engine.modelscope.upstream import upstream_module

# Upstream's scale_factor: the diffusion model sees latents of about unit variance.
LATENT_SCALE = 0.18215
# Latent cells decoded at once: one frame of 256x256 pixels on the CPU, where more is not faster, and four on a GPU.
CELLS_AT_ONCE = {"cpu": 32 * 32, "cuda": 4 * 32 * 32}


def build_autoencoder(ddconfig: dict[str, Any]) -> nn.Module:
    """Build AutoencoderKL with our decoder from its ddconfig; weights are torch's initial ones until loaded.

    The encoder is ModelScope's: it is never run, and is there so that a weight file is checked whole.
    """
    network: nn.Module = upstream_module("autoencoder").AutoencoderKL(ddconfig, LATENT_CHANNELS)
    network.decoder = Decoder(**{name: ddconfig[name] for name in ("ch", "out_ch", "ch_mult", "num_res_blocks")})
    return network


def portions(latents_shape: Sequence[int], device: str) -> list[int]:
    """Return how many frames of latents (1, 4, F, h, w) to decode at once, and what to try when memory runs out.

    The first follows from the size and the device alone, so the same request takes the same path every time.
    """
    _, _, frames, height, width = latents_shape
    portion = min(frames, max(1, CELLS_AT_ONCE[device] // (height * width)))
    return [portion >> halvings for halvings in range(portion.bit_length())]


def decode(autoencoder: Any, latents: Tensor, frames_at_once: int) -> Tensor:
    """Return pixels (F, 3, H, W), float32, about -1..1, from latents (1, 4, F, h, w) in any dtype.

    Frames do not know of each other, so a smaller number at once takes less memory and gives the same pixels.
    """
    frames = (latents[0].permute(1, 2, 3, 0) / LATENT_SCALE).to(autoencoder.post_quant_conv.weight.dtype)
    parts = [autoencoder.decoder(_convolve(part, autoencoder.post_quant_conv)) for part in frames.split(frames_at_once)]
    return torch.cat([part.float() for part in parts]).permute(0, 3, 1, 2)


class Decoder(nn.Module):
    """Parameters are named and shaped as upstream's Decoder, for a ddconfig without attn_resolutions."""

    def __init__(self, ch: int, out_ch: int, ch_mult: Sequence[int], num_res_blocks: int) -> None:
        super().__init__()
        channels = ch * ch_mult[-1]
        self.conv_in = nn.Conv2d(LATENT_CHANNELS, channels, 3, padding=1)
        self.mid: Any = nn.ModuleDict(
            {
                "block_1": ResnetBlock(channels, channels),
                "attn_1": Attention(channels),
                "block_2": ResnetBlock(channels, channels),
            }
        )
        levels: list[nn.Module] = []
        for level, factor in reversed(list(enumerate(ch_mult))):
            widths = [channels] + [ch * factor] * (num_res_blocks + 1)
            blocks = nn.ModuleList(map(ResnetBlock, widths, widths[1:]))
            channels = widths[-1]
            parts: dict[str, nn.Module] = {"block": blocks}
            if level:
                parts["upsample"] = Upsample(channels)
            # Named from the largest size to the smallest, run the other way.
            levels.insert(0, nn.ModuleDict(parts))
        self.up: Any = nn.ModuleList(levels)
        self.norm_out = _norm(channels)
        self.conv_out = nn.Conv2d(channels, out_ch, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, h, w, 4) -> (N, 8h, 8w, 3) with upstream's four levels."""
        x = _convolve(x, self.conv_in)
        for layer in self.mid.values():
            x = layer(x)
        for level in reversed(self.up):
            for block in level["block"]:
                x = block(x)
            if "upsample" in level:
                x = level["upsample"](x)
        return _convolve(group_norm(x, self.norm_out, len(x), silu=True), self.conv_out)


class ResnetBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = _norm(channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.norm2 = _norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if channels != out_channels:
            self.nin_shortcut = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = _convolve(group_norm(x, self.norm1, len(x), silu=True), self.conv1)
        h = _convolve(group_norm(h, self.norm2, len(x), silu=True), self.conv2)
        return h.add_(_convolve(x, self.nin_shortcut) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    """Every place of an image attends to all of its places; one head as wide as the image has channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q, self.k, self.v = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = group_norm(x, self.norm, len(x))
        query, key, value = (_convolve(h, layer).flatten(1, 2)[:, None] for layer in (self.q, self.k, self.v))
        return _convolve(attention(query, key, value).reshape(x.shape), self.proj_out).add_(x)


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        larger = functional.interpolate(x.permute(0, 3, 1, 2), scale_factor=2.0, mode="nearest")
        return _convolve(larger.permute(0, 2, 3, 1).contiguous(), self.conv)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


def _convolve(x: Tensor, layer: nn.Conv2d) -> Tensor:
    return convolution(x, layer, layer.bias)
