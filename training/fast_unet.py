"""UNetSD's forward pass, arranged for training speed; the modules, weights and results stay ModelScope's.

The text's keys and values are computed once per clip instead of once per frame, and the temporal blocks can be
skipped, which turns the network into an image model (they start as the identity).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from training.upstream import Network, network_file


def heads(x: torch.Tensor, count: int) -> torch.Tensor:
    """(n, tokens, count * d) -> (n, count, tokens, d)."""
    n, length, width = x.shape
    return x.view(n, length, count, width // count).transpose(1, 2)


def attend(module: Network, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
    """CrossAttention. x (n, tokens, c); context (b, words, 1024), where n is a multiple of b: one row per clip."""
    n, length, _ = x.shape
    source = x if context is None else context
    q, k, v = module.to_q(x), module.to_k(source), module.to_v(source)
    b = len(source)
    # Frames of one clip share the text, so they are simply more queries.
    q = heads(q.reshape(b, n // b * length, -1), module.heads)
    # Written out: on a CPU torch's fused kernel takes seven times as long for sequences this short (measured).
    weights = (q * module.scale @ heads(k, module.heads).transpose(-1, -2)).softmax(dim=-1)
    out = (weights @ heads(v, module.heads)).transpose(1, 2).reshape(n, length, -1)
    return module.to_out(out)


def transformer_block(block: Network, x: torch.Tensor, context: torch.Tensor | None) -> torch.Tensor:
    x = attend(block.attn1, block.norm1(x)) + x
    x = attend(block.attn2, block.norm2(x), context) + x
    return block.ff(block.norm3(x)) + x


def spatial_transformer(module: Network, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """x (b * f, c, h, w), text (b, words, 1024)."""
    n, c, h, w = x.shape
    y = module.norm(x).flatten(2).transpose(1, 2)
    y = module.proj_in(y)
    for block in module.transformer_blocks:
        y = transformer_block(block, y, text)
    y = module.proj_out(y)
    return y.transpose(1, 2).reshape(n, c, h, w) + x


def temporal_transformer(module: Network, x: torch.Tensor, frames: int) -> torch.Tensor:
    """x (b * f, c, h, w): attention over the frames at each place."""
    n, c, h, w = x.shape
    b = n // frames
    clip = x.view(b, frames, c, h * w)
    # The norm's groups span all frames of a clip.
    y = module.norm(clip.transpose(1, 2).reshape(b, c, frames, h, w)).flatten(3)
    y = y.permute(0, 3, 2, 1).reshape(b * h * w, frames, c)
    y = F.linear(y, module.proj_in.weight.squeeze(-1), module.proj_in.bias)
    for block in module.transformer_blocks:
        y = transformer_block(block, y, None)
    y = F.linear(y, module.proj_out.weight.squeeze(-1), module.proj_out.bias)
    y = y.view(b, h * w, frames, c).permute(0, 2, 3, 1).reshape(n, c, h, w)
    return y + x


def res_block(module: Network, x: torch.Tensor, time: torch.Tensor, frames: int, temporal: bool) -> torch.Tensor:
    """x (b * f, c, h, w), time (b, 128)."""
    y = module.in_layers(x)
    shift = module.emb_layers(time).repeat_interleave(frames, dim=0)
    y = module.out_layers(y + shift[:, :, None, None])
    x = module.skip_connection(x) + y
    if temporal:
        n, c, h, w = x.shape
        clip = x.view(n // frames, frames, c, h, w).transpose(1, 2)
        clip = temporal_conv(module.temopral_conv, clip)
        x = clip.transpose(1, 2).reshape(n, c, h, w)
    return x


def temporal_conv(module: Network, x: torch.Tensor) -> torch.Tensor:
    """TemporalConvBlock_v2. x (b, c, f, h, w); the (3, 1, 1) kernels run as 2-d ones over (frames, places).

    torch has no fast 3-d convolution in float32 on a CPU. With 64 channels this takes a third of its time, and a
    whole training step an eighth less (measured on AVX2).
    """
    b, c, frames, h, w = x.shape
    flat = x.reshape(b, c, frames, h * w)
    y = flat
    for layers in (module.conv1, module.conv2, module.conv3, module.conv4):
        for layer in layers:
            if isinstance(layer, nn.Conv3d):
                y = F.conv2d(y, layer.weight.squeeze(-1), layer.bias, padding=(1, 0))
            else:
                y = layer(y)
    return (flat + y).view(b, c, frames, h, w)


class FastUNet(nn.Module):
    """Wraps a UNetSD. forward(x (b, 4, f, h, w), t (b,), text (b, words, 1024)) -> (noise, two features).

    The features are those after the encoder and in the middle, (b * f, 96, 4, 4): the training heads read them.
    """

    def __init__(self, unet: Network) -> None:
        super().__init__()
        self.unet = unet
        source = network_file("unet_sd")
        self._kinds = (source.ResBlock, source.SpatialTransformer, source.TemporalTransformer)
        self._embed = source.sinusoidal_embedding

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, text: torch.Tensor, temporal: bool = True
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        unet = self.unet
        b, c, frames, h, w = x.shape
        time = unet.time_embed(self._embed(t, unet.dim))
        x = x.transpose(1, 2).reshape(b * frames, c, h, w)
        skips = []
        for block in unet.input_blocks:
            x = self._run(block, x, time, text, frames, temporal)
            skips.append(x)
        encoded = x
        for block in unet.middle_block:
            x = self._run(block, x, time, text, frames, temporal)
        middle = x
        for block in unet.output_blocks:
            x = self._run(block, torch.cat([x, skips.pop()], dim=1), time, text, frames, temporal)
        # At the highest noise levels an error here is multiplied by 14 in the picture: full precision.
        with torch.autocast(x.device.type, enabled=False):
            x = unet.out(x.float())
        return x.view(b, frames, -1, h, w).transpose(1, 2), (encoded, middle)

    def _run(
        self, module: Network, x: torch.Tensor, time: torch.Tensor, text: torch.Tensor, frames: int, temporal: bool
    ) -> torch.Tensor:
        res, spatial, temporal_kind = self._kinds
        if isinstance(module, nn.ModuleList):
            for part in module:
                x = self._run(part, x, time, text, frames, temporal)
            return x
        if isinstance(module, res):
            return res_block(module, x, time, frames, temporal)
        if isinstance(module, spatial):
            return spatial_transformer(module, x, text)
        if isinstance(module, temporal_kind):
            return temporal_transformer(module, x, frames) if temporal else x
        return module(x)


def without_dropout(model: Network) -> Network:
    """The network is far too small to overfit this world; ModelScope's temporal convolutions hard-code 0.1."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def is_temporal(name: str, unet: Network) -> bool:
    """Does a parameter belong to a block that looks across frames?"""
    if "temopral_conv" in name:
        return True
    kind = network_file("unet_sd").TemporalTransformer
    parts = name.split(".")
    return any(isinstance(unet.get_submodule(".".join(parts[:depth])), kind) for depth in range(1, len(parts)))
