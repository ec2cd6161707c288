"""The arithmetic that both networks share, on channels-last tensors, in the form that was measured to be fastest.

Everything here works on "tokens": activations with the channels in the last place and in memory next to each other, so
that attention, linear layers, norms and convolutions follow one another without rearranging copies.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Images of at most so many places are convolved as one matrix product on the CPU: oneDNN rearranges all weights on
# every call, which costs more than the product. Measured with 1280 channels, 32 images, AVX2: 2x2 181 -> 115 ms,
# 4x4 270 -> 210 ms and the copying of the columns on top.
COLUMNS_UP_TO = 4
# CUDA's attention kernels count sequences in a grid dimension of 65535.
SEQUENCES_AT_ONCE = 32768


def use_channels_last(network: nn.Module) -> None:
    """Lay out the weights of all convolutions channels-last, in place; names, shapes and values stay."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.ndim in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])


def group_norm(x: Tensor, norm: nn.GroupNorm, groups_span: int, *, silu: bool = False) -> Tensor:
    """Normalise x (..., H, W, C), seen as groups_span images whose channel groups have one mean and variance each.

    groups_span = frames of the batch for a norm of its own per frame, clips for one over all frames of a clip.
    The statistics are computed in float32 whatever the dtype of x (torch's kernels do so).
    """
    images = x.view(groups_span, -1, x.shape[-2], x.shape[-1]).permute(0, 3, 1, 2)
    result = functional.group_norm(images, norm.num_groups, norm.weight, norm.bias, norm.eps)
    if silu:
        result = functional.silu(result, inplace=True)
    # The permutation is undone for free unless the shape left torch in doubt about its layout.
    return result.permute(0, 2, 3, 1).contiguous().view(x.shape)


def convolution(x: Tensor, layer: nn.Conv2d, bias: Tensor | None) -> Tensor:
    """Convolve images x (N, H, W, C) -> (N, H', W', C'), with another bias (C',) than the layer's own, or none."""
    weight = layer.weight
    places = x.shape[1] * x.shape[2]
    if weight.shape[2:] == (1, 1):
        return functional.linear(x, weight[:, :, 0, 0], bias)
    if places == 1 and layer.padding == (1, 1):
        # All but the middle of the kernel sees only padding.
        return functional.linear(x, weight[:, :, 1, 1], bias)
    if places <= COLUMNS_UP_TO and x.device.type == "cpu" and layer.stride == (1, 1):
        return _convolution_by_columns(x, weight, bias)
    result = functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, layer.stride, layer.padding)
    return result.permute(0, 2, 3, 1).contiguous()


def _convolution_by_columns(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 3x3 convolution with padding 1 as one matrix product: each place's nine neighbours side by side."""
    images, height, width, channels = x.shape
    padded = functional.pad(x, (0, 0, 1, 1, 1, 1))
    windows = padded.unfold(1, 3, 1).unfold(2, 3, 1).permute(0, 1, 2, 4, 5, 3)
    columns = windows.reshape(images, height, width, 9 * channels)
    return functional.linear(columns, weight.permute(0, 2, 3, 1).reshape(len(weight), -1), bias)


def temporal_convolution(x: Tensor, layer: nn.Conv3d) -> Tensor:
    """Convolve clips x (B, F, H, W, C) along the frames with a kernel of (3, 1, 1), padded by one frame on each side.

    As a two-dimensional convolution over (frames, places): measured 1.3 to 2 times as fast as conv3d on an AVX2 CPU,
    at every shape of the 1.7B network, and as fast as or faster than three matrix products.
    """
    batch, frames, height, width, channels = x.shape
    images = x.view(batch, frames, height * width, channels).permute(0, 3, 1, 2)
    result = functional.conv2d(images, layer.weight.squeeze(-1), layer.bias, padding=(1, 0))
    return result.permute(0, 2, 3, 1).contiguous().view(batch, frames, height, width, -1)


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention with scale 1/sqrt(d). query (B, heads, T, d), key and value (B, heads, L, d) -> like query."""
    if len(query) > SEQUENCES_AT_ONCE:
        parts = zip(*(part.split(SEQUENCES_AT_ONCE) for part in (query, key, value)), strict=True)
        return torch.cat([attention(*part) for part in parts])
    return functional.scaled_dot_product_attention(query, key, value)
