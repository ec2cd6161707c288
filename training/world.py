"""The world the demo model knows: one flat shape on black, moving in one of eight ways. Rendered exactly, not drawn.

Low entropy on purpose: every motion has one canonical path with a few pixels of jitter, so that a small network can
learn which way time runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

SIDE = 64
FRAMES = 16

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (230, 25, 35),
    "orange": (255, 135, 0),
    "yellow": (250, 230, 40),
    "green": (30, 185, 65),
    "blue": (45, 90, 245),
    "purple": (155, 45, 215),
}
SHAPES = ("circle", "square", "triangle")
MOTIONS = ("left", "right", "up", "down", "grow", "shrink", "bounce", "still")
REVERSED = {"left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink", "shrink": "grow"}

# Distance of the outline from the centre for size 1: chosen so that the three shapes look equally big.
SQUARE_HALF = 0.9
TRIANGLE_CIRCUMRADIUS = 1.4


@dataclass(frozen=True)
class Scene:
    """One clip. Positions and sizes in pixels of a 64x64 frame; jitter is added to the canonical path."""

    colour: str
    shape: str
    motion: str
    # Offsets of the path's start and end, across the path, and of the size.
    start: float = 0.0
    end: float = 0.0
    across: float = 0.0
    along: float = 0.0
    size: float = 10.5

    def reversed(self) -> Scene:
        """The same clip played backwards, under the name that then fits it."""
        return replace(self, motion=REVERSED.get(self.motion, self.motion), start=self.end, end=self.start)


def random_scene(
    random: torch.Generator, *, colour: str | None = None, shape: str | None = None, motion: str | None = None
) -> Scene:
    """Draw a scene; what is not given is drawn evenly."""

    def pick(names: tuple[str, ...]) -> str:
        return names[int(torch.randint(len(names), (), generator=random))]

    def jitter(pixels: float) -> float:
        return float((torch.rand((), generator=random) * 2 - 1) * pixels)

    return Scene(
        colour=colour or pick(tuple(COLOURS)),
        shape=shape or pick(SHAPES),
        motion=motion or pick(MOTIONS),
        start=jitter(2),
        end=jitter(2),
        across=jitter(5),
        along=jitter(3),
        size=10.5 + jitter(1.5),
    )


def path(scene: Scene, frames: int = FRAMES) -> torch.Tensor:
    """Return (frames, 3): centre x, centre y and size in pixels."""
    u = torch.linspace(0, 1, frames) if frames > 1 else torch.full((1,), 0.5)
    middle = SIDE / 2
    x = torch.full_like(u, middle + scene.across)
    y = torch.full_like(u, middle + scene.along)
    size = torch.full_like(u, scene.size)
    low, high = 19.0, 45.0
    if scene.motion in ("right", "left"):
        a, b = (low, high) if scene.motion == "right" else (high, low)
        x = (a + scene.start) * (1 - u) + (b + scene.end) * u
        y = torch.full_like(u, middle + scene.across)
    elif scene.motion in ("down", "up"):
        a, b = (low, high) if scene.motion == "down" else (high, low)
        y = (a + scene.start) * (1 - u) + (b + scene.end) * u
    elif scene.motion in ("grow", "shrink"):
        a, b = (6.5, 17.5) if scene.motion == "grow" else (17.5, 6.5)
        size = (a + scene.start / 2) * (1 - u) + (b + scene.end / 2) * u
        # A big shape off centre would leave the frame.
        x = torch.full_like(u, middle + scene.across * 0.6)
        y = torch.full_like(u, middle + scene.along * 0.6)
    elif scene.motion == "bounce":
        # Two hops from the ground, the same forwards and backwards.
        y = 45.0 + scene.along * 0.6 - 24.0 * (torch.sin(2 * math.pi * u)).abs()
    return torch.stack([x, y, size], dim=1)


def draw(places: torch.Tensor, shape: str, colour: str) -> torch.Tensor:
    """Render places (n, 3: x, y, size) as RGB (n, 3, 64, 64) in -1..1, edges anti-aliased over one pixel."""
    grid = torch.arange(SIDE) + 0.5
    dx = grid[None, None, :] - places[:, 0, None, None]
    dy = grid[None, :, None] - places[:, 1, None, None]
    size = places[:, 2, None, None]
    if shape == "circle":
        distance = (dx.square() + dy.square()).sqrt() - size
    elif shape == "square":
        distance = torch.maximum(dx.abs(), dy.abs()) - SQUARE_HALF * size
    else:
        # Pointing up; the centre is the centroid, half a circumradius above the base.
        half = TRIANGLE_CIRCUMRADIUS * size / 2
        slanted = dx.abs() * math.cos(math.pi / 6) - dy * 0.5
        distance = torch.maximum(dy, slanted) - half
    cover = (0.5 - distance).clamp(0, 1)[:, None]
    rgb = torch.tensor(COLOURS[colour]).view(1, 3, 1, 1) / 255
    return cover * rgb * 2 - 1


def render(scene: Scene, frames: int = FRAMES) -> torch.Tensor:
    """Return the clip, (frames, 3, 64, 64) in -1..1."""
    return draw(path(scene, frames), scene.shape, scene.colour)
