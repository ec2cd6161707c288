"""The denoising network: our UNetSD. It loads ModelScope's state dict unchanged and computes what its class computes.

Upstream is modelscope/models/multi_modal/video_synthesis/unet_sd.py; tests hold both equal on random weights. What is
different is the order of the work:

* Activations are clips of tokens (B, F, H, W, C), channels last, from the first layer to the last (operations.py).
* What depends on the timestep alone is one table per schedule (time_table), what depends on the text alone is computed
  once per request (text_context), not for every frame of every step.
* With and without the prompt, the network sees the same latents. Everything before the first attention to the text is
  computed once for both.
* Every level is brought back to the size of its skip connection, so any latent size works. UNetSD doubles whatever it
  halved (9 -> 5 -> 10) and crashes; where it works, both do the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from generations.engine.modelscope.configuration import CONTEXT_DIM
from generations.engine.modelscope.operations import (
    attention,
    convolution,
    group_norm,
    temporal_convolution,
)

NORM_GROUPS = 32
# Width of a feed-forward layer over that of its block.
FEED_FORWARD = 4


@dataclass(frozen=True)
class TextContext:
    """Keys and values of every attention to the text, in network order: (prompts, heads, tokens, head_dim) each."""

    keys: list[Tensor]
    values: list[Tensor]

    def __len__(self) -> int:
        return len(self.keys[0])

    def __getitem__(self, prompts: slice) -> TextContext:
        return TextContext([key[prompts] for key in self.keys], [value[prompts] for value in self.values])


@dataclass
class Below:
    """What the last whole pass computed below the outermost level, for passes that run that level alone.

    x: (prompts, F, h, w, C), in the order of the prompts; None before the first whole pass.
    """

    x: Tensor | None = None


class UNet(nn.Module):
    """Parameters are named and shaped as UNetSD's. Arguments are those of UNetSD's constructor that matter here.

    y_dim and dropout have no effect on inference and are taken because configuration.json states them.
    """

    def __init__(
        self,
        in_dim: int,
        dim: int,
        y_dim: int,
        context_dim: int,
        out_dim: int,
        dim_mult: Sequence[int],
        num_heads: int | None,
        head_dim: int,
        num_res_blocks: int,
        attn_scales: Sequence[float],
        dropout: float = 0.0,
        temporal_attention: bool = True,
    ) -> None:
        super().__init__()
        self.dim = dim
        time_dim = dim * 4
        self.time_embed: Any = nn.Sequential(nn.Linear(dim, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim))

        def attentions(channels: int, text_dim: int) -> list[nn.Module]:
            spatial = SpatialTransformer(channels, channels // head_dim, head_dim, text_dim)
            temporal = TemporalTransformer(channels, channels // head_dim, head_dim)
            return [spatial, temporal] if temporal_attention else [spatial]

        widths = [dim * factor for factor in dim_mult]
        # 1. Encoder. Every block's output is kept for the decoder.
        first: list[nn.Module] = [nn.Conv2d(in_dim, dim, 3, padding=1)]
        if temporal_attention:
            first.append(TemporalTransformer(dim, num_heads or dim // 32, head_dim))
        encoder: list[nn.Module] = [nn.ModuleList(first)]
        kept, scale, channels = [dim], 1.0, dim
        for level, width in enumerate(widths):
            for _ in range(num_res_blocks):
                block: list[nn.Module] = [ResBlock(channels, width, time_dim)]
                if scale in attn_scales:
                    block += attentions(width, context_dim)
                encoder.append(nn.ModuleList(block))
                kept.append(width)
                channels = width
            if level < len(widths) - 1:
                encoder.append(Downsample(width))
                kept.append(width)
                scale /= 2
        self.input_blocks: Any = nn.ModuleList(encoder)

        # 2. Middle.
        self.middle_block: Any = nn.ModuleList(
            [
                ResBlock(channels, channels, time_dim),
                *attentions(channels, context_dim),
                ResBlock(channels, channels, time_dim),
            ]
        )

        # 3. Decoder. Every block takes its counterpart's output beside its own input.
        decoder: list[nn.Module] = []
        for level, width in reversed(list(enumerate(widths))):
            for number in range(num_res_blocks + 1):
                block = [ResBlock(channels + kept.pop(), width, time_dim)]
                if scale in attn_scales:
                    # Upstream's decoder has this width written in.
                    block += attentions(width, CONTEXT_DIM)
                channels = width
                if level and number == num_res_blocks:
                    block.append(Upsample(width))
                    scale *= 2
                decoder.append(nn.ModuleList(block))
        self.output_blocks: Any = nn.ModuleList(decoder)

        # 4. Head.
        self.out: Any = nn.Sequential(
            nn.GroupNorm(NORM_GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, out_dim, 3, padding=1)
        )

        # 5. The order of the work, cut at the first layer that reads the text, and around what lies below the outermost
        # level: after the first output that is kept, before the last one that is taken.
        program = self._program()
        readers = [layer for layer in program if isinstance(layer, SpatialTransformer)]
        cut, exit = program.index(readers[0]), len(program) - 1 - program[::-1].index(_take)
        self._entry, self._exit = program[: program.index(_keep) + 1], program[exit:]
        self._shared, self._rest = program[:cut], program[cut + 1 : exit]
        # In a list, torch does not take it for a further sub-module.
        self._first_reader = readers[:1]
        for number, reader in enumerate(readers):
            reader.number = number
        column = 0
        for res_block in self._res_blocks():
            res_block.columns = slice(column, column + res_block.channels)
            column += res_block.channels

    # --- what is computed once

    def time_table(self, timesteps: Tensor) -> Tensor:
        """Return all that depends on the timestep: timesteps (T,) -> (T, sum of all ResBlocks' channels).

        A row is the bias of the first convolution of each ResBlock, its time embedding added.
        """
        embedding = functional.silu(self.time_embed(_sinusoids(timesteps, self.dim).to(self.out[2].weight.dtype)))
        return torch.cat([block.time_bias(embedding) for block in self._res_blocks()], dim=1)

    def text_context(self, features: Tensor) -> TextContext:
        """Return what the text gives to every layer: features (prompts, tokens, 1024), in any dtype."""
        features = features.to(self.out[2].weight.dtype)
        readers = [module for module in self.modules() if isinstance(module, SpatialTransformer)]
        layers = [reader.transformer_blocks[0].attn2 for reader in readers]
        return TextContext(
            [_heads(layer.to_k(features), layer.heads).contiguous() for layer in layers],
            [_heads(layer.to_v(features), layer.heads).contiguous() for layer in layers],
        )

    # --- what is computed in every step

    def forward(self, latents: Tensor, t: Tensor, features: Tensor) -> Tensor:
        """UNetSD's own signature: latents (B, 4, F, h, w), t (B,) int64, features (B, tokens, 1024) -> noise."""
        return self.denoise(latents, self.time_table(t), self.text_context(features))

    def denoise(
        self,
        latents: Tensor,
        time: Tensor,
        text: TextContext,
        prompts_at_once: int | None = None,
        below: Below | None = None,
    ) -> Tensor:
        """Return noise estimates (P, 4, F, h, w) for P prompts, in the weights' dtype.

        latents (B, 4, F, h, w), in any dtype, where P is a multiple of B and prompt i belongs to latents i modulo B:
        first all unconditional prompts, then all conditional ones. time: rows of time_table, one per latents or one for
        all. prompts_at_once (a multiple of B; all of them unless given): fewer take less memory; the numbers are equal
        up to float tolerance. below is filled for denoise_outermost.
        """
        at_once = prompts_at_once or len(text)
        x = latents.permute(0, 2, 3, 4, 1).to(self.out[2].weight.dtype).contiguous()
        start = Pass(time, text, [])
        [reader] = self._first_reader
        for layer in self._shared:
            x = layer(x, start)
        hidden = reader.before_text(x)
        results, deep = [], []
        for prompts in range(0, len(text), at_once):
            branch = Pass(time, text[prompts : prompts + at_once], list(start.kept))
            y = reader.after_text(x, hidden, branch)
            for layer in self._rest:
                y = layer(y, branch)
            if below is not None:
                deep.append(y)
            for layer in self._exit:
                y = layer(y, branch)
            results.append(y)
        if below is not None:
            below.x = _joined(deep)
        return _joined(results).permute(0, 4, 1, 2, 3)

    def denoise_outermost(
        self, latents: Tensor, time: Tensor, text: TextContext, prompts_at_once: int | None, below: Below
    ) -> Tensor:
        """As denoise, but only the outermost level runs, on what the last whole pass with this below computed under it.

        An estimate, not the same numbers: what lies below changes little from one step to the next (DeepCache, Ma et
        al. 2023, https://arxiv.org/abs/2312.00858). text may have lost its unconditional prompts since.
        """
        if below.x is None or len(below.x) < len(text):
            raise ValueError("the outermost level needs a whole pass over these prompts before it")
        at_once = prompts_at_once or len(text)
        x = latents.permute(0, 2, 3, 4, 1).to(self.out[2].weight.dtype).contiguous()
        start = Pass(time, text, [])
        for layer in self._entry:
            x = layer(x, start)
        results = []
        for prompts in range(0, len(text), at_once):
            chosen = slice(prompts, prompts + at_once)
            branch = Pass(time, text[chosen], list(start.kept))
            y = below.x[-len(text) :][chosen]
            for layer in self._exit:
                y = layer(y, branch)
            results.append(y)
        return _joined(results).permute(0, 4, 1, 2, 3)

    def _res_blocks(self) -> list[ResBlock]:
        return [module for module in self.modules() if isinstance(module, ResBlock)]

    def _head(self, x: Tensor, now: Pass) -> Tensor:
        x = group_norm(x, self.out[0], x.shape[0] * x.shape[1], silu=True)
        return _convolve(x, self.out[2], self.out[2].bias)

    def _program(self) -> list[Layer]:
        """The network in the order of its work: each layer takes (x, Pass) and returns the next x."""
        program: list[Layer] = []
        for block in self.input_blocks:
            program += [*_layers(block), _keep]
        program += _layers(self.middle_block)
        for block in self.output_blocks:
            program += [_take, *_layers(block)]
        return [*program, self._head]


@dataclass
class Pass:
    """What one run through the network carries beside x: time (1 or B, n), the text, and what the encoder kept."""

    time: Tensor
    text: TextContext
    kept: list[Tensor]


Layer = Callable[[Tensor, Pass], Tensor]


def _layers(block: nn.Module) -> list[Layer]:
    parts = block if isinstance(block, nn.ModuleList) else [block]
    return [functools.partial(_convolution_layer, part) if isinstance(part, nn.Conv2d) else part for part in parts]


def _convolution_layer(layer: nn.Conv2d, x: Tensor, now: Pass) -> Tensor:
    return _convolve(x, layer, layer.bias)


def _keep(x: Tensor, now: Pass) -> Tensor:
    now.kept.append(x)
    return x


def _take(x: Tensor, now: Pass) -> Tensor:
    kept = now.kept.pop()
    # Kept before the prompts parted: the same for all of them.
    return torch.cat([x, kept.repeat(len(x) // len(kept), 1, 1, 1, 1)], dim=-1)


class ResBlock(nn.Module):
    """Two convolutions per frame, with the time embedding between them, then four convolutions along the frames."""

    def __init__(self, channels: int, out_channels: int, time_dim: int) -> None:
        super().__init__()
        self.channels = out_channels
        # The columns of the time table that are this block's; UNet numbers them.
        self.columns = slice(0, out_channels)
        self.in_layers: Any = nn.ModuleList(
            [nn.GroupNorm(NORM_GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)]
        )
        self.emb_layers: Any = nn.ModuleList([nn.SiLU(), nn.Linear(time_dim, out_channels)])
        self.out_layers: Any = nn.ModuleList(
            [
                nn.GroupNorm(NORM_GROUPS, out_channels),
                nn.SiLU(),
                nn.Identity(),
                nn.Conv2d(out_channels, out_channels, 3, padding=1),
            ]
        )
        self.skip_connection: Any = (
            nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, kernel_size=1)
        )
        # Upstream's spelling.
        self.temopral_conv: Any = TemporalConvolutions(out_channels)

    def time_bias(self, embedding: Tensor) -> Tensor:
        """Return the first convolution's bias plus the time's shift, (T, C), of silu(time embedding) (T, n)."""
        return self.emb_layers[1](embedding) + self.in_layers[2].bias

    def forward(self, x: Tensor, now: Pass) -> Tensor:
        """x (B, F, H, W, C) -> (B, F, H, W, C')."""
        clips, frames = x.shape[:2]
        shift = now.time[:, self.columns]
        h = group_norm(x, self.in_layers[0], clips * frames, silu=True)
        if len(shift) == 1:
            h = _convolve(h, self.in_layers[2], shift[0])
        else:
            h = _convolve(h, self.in_layers[2], None) + shift.repeat(clips // len(shift), 1)[:, None, None, None]
        h = group_norm(h, self.out_layers[0], clips * frames, silu=True)
        h = _convolve(h, self.out_layers[3], self.out_layers[3].bias)
        skip = self.skip_connection
        h += x if isinstance(skip, nn.Identity) else _convolve(x, skip, skip.bias)
        return self.temopral_conv(h)


class TemporalConvolutions(nn.Module):
    """x + four times (norm over the clip, SiLU, convolution along the frames); upstream's TemporalConvBlock_v2."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def layers(dropout: bool) -> nn.ModuleList:
            norm, silu = nn.GroupNorm(NORM_GROUPS, channels), nn.SiLU()
            conv = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
            # The place of a dropout counts in the names of the weights.
            return nn.ModuleList([norm, silu, nn.Identity(), conv] if dropout else [norm, silu, conv])

        self.conv1 = layers(dropout=False)
        self.conv2, self.conv3, self.conv4 = (layers(dropout=True) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h = x
        layers: Any
        for layers in (self.conv1, self.conv2, self.conv3, self.conv4):
            norm, *_, conv = layers
            h = temporal_convolution(group_norm(h, norm, len(x), silu=True), conv)
        return h.add_(x)


class SpatialTransformer(nn.Module):
    """Attention between the places of each frame, then from each place to the text."""

    def __init__(self, channels: int, heads: int, head_dim: int, text_dim: int) -> None:
        super().__init__()
        # Which of the text context's entries is this layer's; UNet numbers them.
        self.number = 0
        self.norm = nn.GroupNorm(NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, heads * head_dim)
        self.transformer_blocks: Any = nn.ModuleList([TransformerBlock(heads, head_dim, text_dim)])
        self.proj_out = nn.Linear(channels, heads * head_dim)

    def forward(self, x: Tensor, now: Pass) -> Tensor:
        """x (B, F, H, W, C) -> the same shape, or that of the text's batch when B is a part of it."""
        return self.after_text(x, self.before_text(x), now)

    def before_text(self, x: Tensor) -> Tensor:
        """Return what attends to the text, (B, F, places, C): all of this layer that does not need the text yet."""
        block = self.transformer_blocks[0]
        h = self.proj_in(group_norm(x, self.norm, x.shape[0] * x.shape[1])).flatten(2, 3)
        return block.attn1.over_places(block.norm1(h)).add_(h)

    def after_text(self, x: Tensor, h: Tensor, now: Pass) -> Tensor:
        """Return the layer's result for every prompt, from its input x and what before_text made of it."""
        block = self.transformer_blocks[0]
        query, copies = block.attn2.to_q(block.norm2(h)), len(now.text) // len(x)
        if copies > 1:
            x, h, query = x.repeat(copies, 1, 1, 1, 1), h.repeat(copies, 1, 1, 1), query.repeat(copies, 1, 1, 1)
        h = block.attn2.over_text(query, now.text.keys[self.number], now.text.values[self.number]).add_(h)
        h = block.ff(block.norm3(h)).add_(h)
        return self.proj_out(h).view(x.shape).add_(x)


class TemporalTransformer(nn.Module):
    """Attention between the frames, twice, at every place."""

    def __init__(self, channels: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Conv1d(channels, heads * head_dim, kernel_size=1)
        self.transformer_blocks: Any = nn.ModuleList([TransformerBlock(heads, head_dim, heads * head_dim)])
        self.proj_out = nn.Conv1d(heads * head_dim, channels, kernel_size=1)

    def forward(self, x: Tensor, now: Pass) -> Tensor:
        """x (B, F, H, W, C) -> the same shape."""
        block = self.transformer_blocks[0]
        h = functional.linear(group_norm(x, self.norm, len(x)), self.proj_in.weight[:, :, 0], self.proj_in.bias)
        h = h.flatten(2, 3)
        h = block.attn1.over_frames(block.norm1(h)).add_(h)
        h = block.attn2.over_frames(block.norm2(h)).add_(h)
        h = block.ff(block.norm3(h)).add_(h)
        return functional.linear(h, self.proj_out.weight[:, :, 0], self.proj_out.bias).view(x.shape).add_(x)


class TransformerBlock(nn.Module):
    """The weights of two attentions and a feed-forward layer; the transformers say what attends to what."""

    def __init__(self, heads: int, head_dim: int, source_dim: int) -> None:
        super().__init__()
        width = heads * head_dim
        self.attn1 = Attention(heads, head_dim, width)
        self.ff = FeedForward(width)
        self.attn2 = Attention(heads, head_dim, source_dim)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)


class Attention(nn.Module):
    """Multi-head attention on tokens (B, F, places, C)."""

    def __init__(self, heads: int, head_dim: int, source_dim: int) -> None:
        super().__init__()
        width = heads * head_dim
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(source_dim, width, bias=False)
        self.to_v = nn.Linear(source_dim, width, bias=False)
        self.to_out: Any = nn.ModuleList([nn.Linear(width, width)])

    def over_places(self, x: Tensor) -> Tensor:
        """Every place of a frame attends to all places of the frame."""
        query, key, value = (_heads(layer(x).flatten(0, 1), self.heads) for layer in (self.to_q, self.to_k, self.to_v))
        return self.to_out[0](attention(query, key, value).transpose(1, 2).reshape(x.shape))

    def over_frames(self, x: Tensor) -> Tensor:
        """Every frame attends to all frames at the same place."""
        # (B, F, places, C) -> B times (places, heads, F, head_dim), as views.
        parts = [
            layer(x).unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1, 4)
            for layer in (self.to_q, self.to_k, self.to_v)
        ]
        clips = [attention(*clip).permute(2, 0, 1, 3) for clip in zip(*parts, strict=True)]
        return self.to_out[0](torch.stack(clips).flatten(3))

    def over_text(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Every place of every frame attends to the words: query (P, F, places, C), key and value as TextContext's."""
        # The frames of a clip share the text: they are simply more queries.
        heads = _heads(query.flatten(1, 2), self.heads)
        return self.to_out[0](attention(heads, key, value).transpose(1, 2).reshape(query.shape))


class FeedForward(nn.Module):
    """GEGLU: one half of the hidden layer gates the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        gated = nn.ModuleDict({"proj": nn.Linear(width, 2 * FEED_FORWARD * width)})
        self.net: Any = nn.ModuleList([gated, nn.Identity(), nn.Linear(FEED_FORWARD * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        hidden, gate = self.net[0]["proj"](x).chunk(2, dim=-1)
        return self.net[2](functional.gelu(gate).mul_(hidden))


class Downsample(nn.Module):
    """Halves both sides, rounding up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, now: Pass) -> Tensor:
        return _convolve(x, self.op, self.op.bias)


class Upsample(nn.Module):
    """Brings the frames to the size that the next kept output has."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, now: Pass) -> Tensor:
        height, width = now.kept[-1].shape[2:4]
        frames = functional.interpolate(x.flatten(0, 1).permute(0, 3, 1, 2), size=(height, width), mode="nearest")
        frames = frames.permute(0, 2, 3, 1).contiguous().unflatten(0, x.shape[:2])
        return _convolve(frames, self.conv, self.conv.bias)


def _convolve(x: Tensor, layer: nn.Conv2d, bias: Tensor | None) -> Tensor:
    """Convolve every frame: x (B, F, H, W, C) -> (B, F, H', W', C')."""
    return convolution(x.flatten(0, 1), layer, bias).unflatten(0, x.shape[:2])


def _joined(portions: list[Tensor]) -> Tensor:
    """One tensor of all portions along the batch, without a copy when there is only one."""
    return torch.cat(portions) if len(portions) > 1 else portions[0]


def _heads(x: Tensor, heads: int) -> Tensor:
    """(n, tokens, heads * head_dim) -> (n, heads, tokens, head_dim), as a view."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _sinusoids(timesteps: Tensor, dim: int) -> Tensor:
    """Return cosines, then sines, of the timesteps at dim / 2 frequencies from 1 down to 1/10000: (T, dim), float32."""
    half = dim // 2
    frequencies = 10000 ** -(torch.arange(half, device=timesteps.device, dtype=torch.float32) / half)
    angles = timesteps.float()[:, None] * frequencies
    sinusoids = torch.cat([angles.cos(), angles.sin()], dim=1)
    return functional.pad(sinusoids, (0, dim % 2))


def build_unet(arguments: dict[str, Any]) -> UNet:
    """Build the network from UNetSD's constructor arguments; weights are torch's initial ones until loaded."""
    return UNet(**arguments)
