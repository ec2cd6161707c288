"""Reads colour, shape and motion off a clip with plain arithmetic: no network judges the network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from training.world import COLOURS, MOTIONS, SHAPES, SQUARE_HALF, TRIANGLE_CIRCUMRADIUS, Scene, draw, path

# Brightness (0..1, strongest channel) from which a pixel belongs to the object.
LIT = 0.35
# An object smaller than this many pixels is no object (the smallest rendered one covers 78).
SMALLEST = 30
MISSING = "nothing"
# Area of each shape of size 1.
AREA = {
    "circle": math.pi,
    "square": (2 * SQUARE_HALF) ** 2,
    "triangle": 3 * math.sqrt(3) / 4 * TRIANGLE_CIRCUMRADIUS**2,
}


@dataclass(frozen=True)
class Reading:
    """What a clip shows; MISSING where there is no object in most frames."""

    colour: str
    shape: str
    motion: str


def read(clip: torch.Tensor) -> Reading:
    """Read a clip (frames, 3, 64, 64) in -1..1."""
    rgb = (clip + 1) / 2
    lit = rgb.amax(dim=1)
    mask = (lit > LIT).float()
    area = mask.sum(dim=(1, 2))
    seen = area >= SMALLEST
    if seen.float().mean() < 0.75:
        return Reading(MISSING, MISSING, MISSING)
    return Reading(_colour(rgb[seen], lit[seen]), _shape(mask[seen]), _motion(mask, area, seen))


def _colour(rgb: torch.Tensor, lit: torch.Tensor) -> str:
    """The named colour nearest to the object's mean colour, both at full brightness."""
    inside = (lit > 0.5 * lit.amax(dim=(1, 2), keepdim=True)).unsqueeze(1)
    mean = (rgb * inside).sum(dim=(0, 2, 3)) / inside.sum()
    names = list(COLOURS)
    palette = torch.tensor([COLOURS[name] for name in names]) / 255
    palette = palette / palette.amax(dim=1, keepdim=True)
    return names[int((palette - mean / mean.amax()).square().sum(dim=1).argmin())]


def _shape(mask: torch.Tensor) -> str:
    """The shape whose rendering overlaps best."""
    return max(SHAPES, key=lambda shape: _overlap(mask, shape))


def _overlap(mask: torch.Tensor, shape: str) -> float:
    """Intersection over union with an exact rendering of the same centre and area, mean over frames."""
    x, y = _centre(mask)
    places = torch.stack([x, y, (mask.sum(dim=(1, 2)) / AREA[shape]).sqrt()], dim=1)
    cover = (draw(places, shape, "orange")[:, 0] + 1) / 2
    both, either = torch.minimum(cover, mask).sum(dim=(1, 2)), torch.maximum(cover, mask).sum(dim=(1, 2))
    return float((both / either).mean())


def neatness(clip: torch.Tensor, shape: str) -> float:
    """How well outlines fit the shape asked for, 0..1; exact renderings get 0.96, for their smooth edges."""
    mask = (((clip + 1) / 2).amax(dim=1) > LIT).float()
    seen = mask.sum(dim=(1, 2)) >= SMALLEST
    return _overlap(mask[seen], shape) if seen.any() else 0.0


def _centre(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre of each frame's mask, x and y in pixels."""
    grid = torch.arange(mask.shape[-1]) + 0.5
    area = mask.sum(dim=(1, 2)).clamp(min=1)
    return (mask.sum(dim=1) * grid).sum(dim=1) / area, (mask.sum(dim=2) * grid).sum(dim=1) / area


def _motion(mask: torch.Tensor, area: torch.Tensor, seen: torch.Tensor) -> str:
    """The motion whose canonical path is nearest to the object's path, all paths taken relative to their mean.

    Size counts three times, because it changes by a third as many pixels as place does.
    """
    x, y = _centre(mask)
    track = torch.stack([x, y, 3 * (area / math.pi).sqrt()], dim=1)

    def relative(points: torch.Tensor) -> torch.Tensor:
        return points[seen] - points[seen].mean(dim=0)

    distances = {}
    for motion in MOTIONS:
        canonical = path(Scene("red", "circle", motion), len(mask)) * torch.tensor([1.0, 1.0, 3.0])
        distances[motion] = float((relative(track) - relative(canonical)).square().sum())
    return min(distances, key=distances.__getitem__)
