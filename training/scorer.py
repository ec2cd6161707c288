"""Reads a clip with plain arithmetic: no network judges the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch

from training.world import (
    BACKGROUNDS,
    COLOURS,
    RELEASED,
    SIZES,
    SQUARE_HALF,
    STAR_DENT,
    STAR_TIP,
    TRIANGLE_CIRCUMRADIUS,
    TURN,
    Scene,
    World,
    coverage,
    path,
)

# How far (0..1, the channel that differs most) a pixel is from the background to belong to the object: this share of
# the distance of the object's own colour.
LIT = 0.5
# An object's colour is at least so far from the background; below, there is only noise.
FAINTEST = 0.15
# An object smaller than this many pixels is no object (the smallest rendered one covers 70).
FEWEST = 30
MISSING = "nothing"
# Area of each shape of size 1.
AREA = {
    "circle": math.pi,
    "square": (2 * SQUARE_HALF) ** 2,
    "triangle": 3 * math.sqrt(3) / 4 * TRIANGLE_CIRCUMRADIUS**2,
    "star": 5 * STAR_TIP * STAR_DENT * math.sin(math.pi / 5),
}
# A turn by this looks like none.
SYMMETRY = {"circle": 0.0, "square": math.pi / 2, "triangle": 2 * math.pi / 3, "star": 2 * math.pi / 5}
ANGLES = 12


@dataclass(frozen=True)
class Reading:
    """What a clip shows; MISSING where there is no object in most frames."""

    colour: str
    shape: str
    motion: str
    background: str
    size: str


@dataclass(frozen=True)
class Outlines:
    """Every frame's object. mask (n, 64, 64) 0 or 1; the rest (n,); frames without an object are not seen."""

    mask: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    area: torch.Tensor
    seen: torch.Tensor


def read(clip: torch.Tensor, world: World = RELEASED) -> Reading:
    """Read a clip (frames, 3, 64, 64) in -1..1 as the nearest of what there is in a world; of backgrounds, any."""
    rgb = (clip + 1) / 2
    back = _border(rgb)
    background = _nearest(back.mean(dim=0), BACKGROUNDS)
    found = outlines(clip)
    if found.seen.float().mean() < 0.75:
        return Reading(MISSING, MISSING, MISSING, background, MISSING)
    shape, turns = _shape(found, world)
    motion = _motion(found, shape, turns, world)
    inside = _core(rgb, back) * found.seen[:, None, None]
    colour = (rgb * inside[:, None]).sum(dim=(0, 2, 3)) / inside.sum().clamp(min=1)
    radius = float((found.area[found.seen] / AREA[shape]).sqrt().mean())
    size = "medium" if motion in ("grow", "shrink") else min(SIZES, key=lambda name: abs(SIZES[name] - radius))
    return Reading(_nearest(colour, {name: COLOURS[name] for name in world.colours}), shape, motion, background, size)


def _border(rgb: torch.Tensor) -> torch.Tensor:
    """The background of each frame (n, 3): the median of its outermost two pixels."""
    edge = [rgb[:, :, :2].flatten(2), rgb[:, :, -2:].flatten(2), rgb[..., :2].flatten(2), rgb[..., -2:].flatten(2)]
    return torch.cat(edge, dim=2).median(dim=2).values


def _nearest(colour: torch.Tensor, palette: dict[str, tuple[int, int, int]]) -> str:
    names = list(palette)
    return names[int((torch.tensor([palette[name] for name in names]) / 255 - colour).square().sum(dim=1).argmin())]


def _contrast(rgb: torch.Tensor, back: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each pixel's distance from the background (n, 64, 64), and the object's own (n,)."""
    distance = (rgb - back[:, :, None, None]).abs().amax(dim=1)
    # The strongest few pixels: the inside of even the smallest object.
    return distance, distance.flatten(1).topk(20, dim=1).values[:, -1]


def _core(rgb: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """1 where the object's own colour shows, without its rim; (n, 64, 64)."""
    distance, own = _contrast(rgb, back)
    return (distance > 0.8 * own[:, None, None]).float()


def outlines(clip: torch.Tensor) -> Outlines:
    """Find the object in every frame of a clip (frames, 3, 64, 64) in -1..1."""
    rgb = (clip + 1) / 2
    distance, own = _contrast(rgb, _border(rgb))
    mask = (distance > (LIT * own).clamp(min=LIT * FAINTEST)[:, None, None]).float()
    area = mask.sum(dim=(1, 2))
    grid = torch.arange(mask.shape[-1]) + 0.5
    x = (mask.sum(dim=1) * grid).sum(dim=1) / area.clamp(min=1)
    y = (mask.sum(dim=2) * grid).sum(dim=1) / area.clamp(min=1)
    return Outlines(mask, x, y, area, (area >= FEWEST) & (own > FAINTEST))


def _shape(found: Outlines, world: World) -> tuple[str, torch.Tensor]:
    """The shape whose rendering overlaps best, and each frame's turn in radians (n,), modulo its symmetry."""
    best = {shape: _overlap(found, shape, world) for shape in world.shapes}
    shape = max(world.shapes, key=lambda name: float(best[name][0].mean()))
    turns = torch.zeros(len(found.area))
    turns[found.seen] = best[shape][1]
    return shape, turns


def _overlap(found: Outlines, shape: str, world: World) -> tuple[torch.Tensor, torch.Tensor]:
    """Per seen frame: intersection over union with an exact rendering of the same centre and area, and its turn."""
    mask, n = found.mask[found.seen], int(found.seen.sum())
    size = (found.area[found.seen] / AREA[shape]).sqrt()
    turns = "spin" in world.motions and SYMMETRY[shape]
    angles = torch.arange(ANGLES if turns else 1) * SYMMETRY[shape] / ANGLES
    places = torch.stack([found.x[found.seen], found.y[found.seen], size], dim=1).repeat_interleave(len(angles), dim=0)
    cover = coverage(torch.cat([places, angles.repeat(n)[:, None]], dim=1), shape).view(n, len(angles), *mask.shape[1:])
    both = torch.minimum(cover, mask[:, None]).sum(dim=(2, 3))
    either = torch.maximum(cover, mask[:, None]).sum(dim=(2, 3))
    share, which = (both / either).max(dim=1)
    return share, angles[which]


def neatness(clip: torch.Tensor, shape: str, world: World = RELEASED) -> float:
    """How well outlines fit the shape asked for, 0..1, turned as it may be where shapes spin; renderings get 0.95."""
    found = outlines(clip)
    return float(_overlap(found, shape, world)[0].mean()) if found.seen.any() else 0.0


@cache
def _canonical(motion: str, frames: int) -> torch.Tensor:
    return path(Scene("red", "circle", motion), frames)[:, :3] * torch.tensor([1.0, 1.0, 3.0])


def _motion(found: Outlines, shape: str, turns: torch.Tensor, world: World) -> str:
    """The motion whose canonical path is nearest to the object's path, all paths taken relative to their mean.

    Size counts three times, because it changes by a third as many pixels as place does. A still object that turns
    clockwise, by at least half of what a spinning one does, spins.
    """
    seen = found.seen
    track = torch.stack([found.x, found.y, 3 * (found.area / math.pi).sqrt()], dim=1)

    def relative(points: torch.Tensor) -> torch.Tensor:
        return points[seen] - points[seen].mean(dim=0)

    distances = {}
    for motion in world.motions:
        if motion != "spin":
            distances[motion] = float((relative(track) - relative(_canonical(motion, len(track)))).square().sum())
    nearest = min(distances, key=distances.__getitem__)
    period = SYMMETRY[shape]
    if nearest == "still" and "spin" in world.motions and period:
        steps = turns[seen].diff()
        steps = torch.remainder(steps + period / 2, period) - period / 2
        if float(steps.sum()) > TURN / 2:
            return "spin"
    return nearest
