"""Clips that share passes through the UNet: each with noise, sampler state and text of its own.

A pass takes the unconditional prompts of all its clips first, then the conditional ones (UNet.denoise). Here tensors of
single clips are put together in that order, and results taken apart again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generations.engine.base import VideoSpec
from generations.engine.modelscope.sampler import Before
from generations.engine.modelscope.unet import TextContext


@dataclass(eq=False)
class Clip:
    """One spec on its way, and what its steps leave for later ones.

    place: among the specs of the render. text: of both prompts, the unconditional one first. latents: (1, 4, F, h, w),
    float32. generator: of its noise. below: (prompts, F, h, w, C) as unet.Below.x, of the last whole pass.
    """

    place: int
    spec: VideoSpec
    text: TextContext
    latents: Tensor
    generator: torch.Generator
    below: Tensor | None = None
    before: Before | None = None
    difference: Tensor | None = None


class Texts:
    """The texts of clips that share a pass, put together once and kept for as long as the same clips share it."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], tuple[TextContext, TextContext]] = {}

    def of(self, clips: Sequence[Clip], guided: bool) -> TextContext:
        """Return what the UNet reads: of both prompts of every clip, or unguided of the conditional ones alone."""
        places = tuple(clip.place for clip in clips)
        if places not in self._kept:
            # A clip that shares its pass with fewer from now on does so for good.
            self._kept = {known: text for known, text in self._kept.items() if not set(known) & set(places)}
            both = joined_text([clip.text for clip in clips])
            self._kept[places] = both, both[len(clips) :]
        return self._kept[places][0 if guided else 1]


def joined_text(texts: Sequence[TextContext]) -> TextContext:
    """Return one context of all prompts, (prompts, clips) flattened; of a single text itself."""
    if len(texts) == 1:
        return texts[0]
    return TextContext(
        [joined(layer) for layer in zip(*(text.keys for text in texts), strict=True)],
        [joined(layer) for layer in zip(*(text.values for text in texts), strict=True)],
    )


def joined(parts: Sequence[Tensor]) -> Tensor:
    """(prompts, ...) of each clip -> (prompts x clips, ...): the first prompt of every clip, then the second ones."""
    return parts[0] if len(parts) == 1 else torch.stack(list(parts), dim=1).flatten(0, 1)


def parted(together: Tensor, clips: int) -> list[Tensor]:
    """The reverse of joined: (prompts x clips, ...) -> (prompts, ...) of each clip, as views."""
    return [together[place::clips] for place in range(clips)]
