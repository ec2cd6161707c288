"""The denoising network: ModelScope's UNetSD, unmodified but for sizes that do not halve evenly."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from generations.engine.modelscope.upstream import upstream_module

_upstream: Any = upstream_module("unet_sd")


class UNet(_upstream.UNetSD):
    """UNetSD(latents (B, 4, F, h, w), t (B,) int64, text features (B, tokens, 1024)) -> noise of the latents' shape.

    UNetSD doubles on the way up whatever it halved on the way down: 9 -> 5 -> 10, and the skip connection of 9 crashes.
    Here a level is brought back to the size its skip connection has, which is the same wherever UNetSD itself works
    (tests hold them equal) and makes every multiple of 8 pixels a legal side, as diffusers' UNet3DConditionModel does.
    """

    def _forward_single(
        self, module: Any, x: Tensor, e: Any, context: Any, bias: Any, focus: Any, mask: Any, reference: Any = None
    ) -> Tensor:
        # UNetSD hands the next skip connection to every block of the decoder as the reference.
        if isinstance(module, _upstream.Upsample) and reference is not None:
            resized: Tensor = module.conv(functional.interpolate(x, size=reference.shape[-2:], mode="nearest"))
            return resized
        result: Tensor = super()._forward_single(module, x, e, context, bias, focus, mask, reference)
        return result


def build_unet(arguments: dict[str, Any]) -> UNet:
    """Build UNetSD from its constructor arguments; weights are upstream's initial ones (many are zero) until loaded."""
    return UNet(**arguments)
