"""The world a demo model knows: one flat shape on a plain background, moving in one of nine ways.

Rendered exactly, not drawn. Low entropy on purpose: every motion has one canonical path with a few pixels of jitter, so
that a small network can learn which way time runs.
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
    "pink": (255, 130, 195),
    "white": (255, 255, 255),
}
SHAPES = ("circle", "square", "triangle", "star")
MOTIONS = ("left", "right", "up", "down", "grow", "shrink", "spin", "bounce", "still")
REVERSED = {"left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink", "shrink": "grow"}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (120, 120, 120),
    "navy": (15, 25, 85),
}
# Pixels from the centre to the outline, for shapes that keep their size.
SIZES: dict[str, float] = {"small": 7.5, "medium": 10.5, "large": 13.5}
# Growing and shrinking go from one of these to the other, whatever size was asked for.
SMALLEST, LARGEST = 6.5, 17.5
# Clockwise, over the whole clip. Eight degrees a frame: the next frame never looks like a turn the other way.
TURN = math.radians(120)
# Pairs that no training clip shows: drawing them takes the two words, not a memory of the pair.
UNSEEN_PAIRS = (("red", "star"), ("blue", "triangle"), ("green", "square"), ("purple", "circle"))

# Distance of the outline from the centre for size 1: a circle fits into its square, and the others look as big.
SQUARE_HALF = 1.0
TRIANGLE_CIRCUMRADIUS = 1.4
STAR_TIP, STAR_DENT = 1.4, 0.65


@dataclass(frozen=True)
class World:
    """What a model is taught, and scored on. A model folder's configuration.json says which one is its own."""

    colours: tuple[str, ...] = tuple(COLOURS)
    shapes: tuple[str, ...] = SHAPES
    motions: tuple[str, ...] = MOTIONS
    backgrounds: tuple[str, ...] = tuple(BACKGROUNDS)
    sizes: tuple[str, ...] = tuple(SIZES)

    @property
    def aspects(self) -> tuple[str, ...]:
        """What there is a choice of, and a prompt can therefore get wrong."""
        classes = {
            "colour": self.colours,
            "shape": self.shapes,
            "motion": self.motions,
            "background": self.backgrounds,
            "size": self.sizes,
        }
        return tuple(name for name, choices in classes.items() if len(choices) > 1)

    def has(self, colour: str, shape: str, motion: str, background: str, size: str) -> bool:
        """Is all of it part of this world?"""
        return (
            colour in self.colours
            and shape in self.shapes
            and motion in self.motions
            and background in self.backgrounds
            and size in self.sizes
        )


WORLDS = {
    "full": World(),
    # Everything but backgrounds: one autoencoder colour to learn less, and a quarter of the clips.
    "black": World(backgrounds=("black",)),
    "first": World(
        colours=("red", "orange", "yellow", "green", "blue", "purple"),
        shapes=("circle", "square", "triangle"),
        motions=("left", "right", "up", "down", "grow", "shrink", "bounce", "still"),
        backgrounds=("black",),
        sizes=("medium",),
    ),
}
FULL = WORLDS["full"]
# What the demo model in this repository was taught.
RELEASED = FULL


@dataclass(frozen=True)
class Scene:
    """One clip. Positions and sizes in pixels of a 64x64 frame; jitter is added to the canonical path."""

    colour: str
    shape: str
    motion: str
    background: str = "black"
    size: str = "medium"
    # Offsets of the path's start and end, across the path, along it, and of the size.
    start: float = 0.0
    end: float = 0.0
    across: float = 0.0
    along: float = 0.0
    bigger: float = 0.0

    @property
    def radius(self) -> float:
        return SIZES[self.size] + self.bigger

    def reversed(self) -> Scene:
        """The same clip played backwards, under the name that then fits it."""
        return replace(self, motion=REVERSED.get(self.motion, self.motion), start=self.end, end=self.start)


def possible(colour: str, shape: str, motion: str, background: str) -> bool:
    """Can it be seen? A turning circle looks still, and white on white looks like nothing."""
    return not (shape == "circle" and motion == "spin") and colour != background


def random_scene(
    random: torch.Generator,
    world: World = FULL,
    *,
    colour: str | None = None,
    shape: str | None = None,
    motion: str | None = None,
    background: str | None = None,
    size: str | None = None,
    unseen: bool | None = None,
) -> Scene:
    """Draw a scene of a world; what is not given is drawn evenly.

    unseen: only UNSEEN_PAIRS (True), none of them (False), or all pairs alike.
    """

    def pick(names: tuple[str, ...]) -> str:
        return names[int(torch.randint(len(names), (), generator=random))]

    def jitter(pixels: float) -> float:
        return float((torch.rand((), generator=random) * 2 - 1) * pixels)

    while True:
        what = (colour or pick(world.colours), shape or pick(world.shapes))
        how = (motion or pick(world.motions), background or pick(world.backgrounds))
        if possible(*what, *how) and (unseen is None or (what in UNSEEN_PAIRS) == unseen):
            break
    return Scene(
        *what, *how,
        size="medium" if how[0] in ("grow", "shrink") else size or pick(world.sizes),
        start=jitter(1), end=jitter(1), across=jitter(2.5), along=jitter(1.5), bigger=jitter(0.5),
    )  # fmt: skip


def path(scene: Scene, frames: int = FRAMES) -> torch.Tensor:
    """Return (frames, 4): centre x, centre y and size in pixels, and the turn in radians, clockwise."""
    u = torch.linspace(0, 1, frames) if frames > 1 else torch.full((1,), 0.5)
    middle = SIDE / 2
    x = torch.full_like(u, middle + scene.across)
    y = torch.full_like(u, middle + scene.along)
    size = torch.full_like(u, scene.radius)
    turn = torch.zeros_like(u)
    # Large shapes turn back earlier, or their tips would leave the frame.
    low = 19.0 + 1.7 * max(0.0, scene.radius - 11.5)
    high = SIDE - low
    if scene.motion in ("right", "left"):
        a, b = (low, high) if scene.motion == "right" else (high, low)
        x = (a + scene.start) * (1 - u) + (b + scene.end) * u
        y = torch.full_like(u, middle + scene.across)
    elif scene.motion in ("down", "up"):
        a, b = (low, high) if scene.motion == "down" else (high, low)
        y = (a + scene.start) * (1 - u) + (b + scene.end) * u
    elif scene.motion in ("grow", "shrink"):
        a, b = (SMALLEST, LARGEST) if scene.motion == "grow" else (LARGEST, SMALLEST)
        size = (a + scene.start / 2) * (1 - u) + (b + scene.end / 2) * u
        # A big shape off centre would leave the frame.
        x = torch.full_like(u, middle + scene.across * 0.6)
        y = torch.full_like(u, middle + scene.along * 0.6)
    elif scene.motion == "spin":
        turn = TURN * u
    elif scene.motion == "bounce":
        # Two hops from the ground, the same forwards and backwards.
        y = high + scene.along * 0.6 - (high - low - 2) * torch.sin(2 * math.pi * u).abs()
    return torch.stack([x, y, size, turn], dim=1)


def draw(places: torch.Tensor, shape: str, colour: str, background: str = "black") -> torch.Tensor:
    """Render places (n, 4: x, y, size, turn) as RGB (n, 3, 64, 64) in -1..1, edges anti-aliased over one pixel."""
    cover = coverage(places, shape)[:, None]
    front, back = (torch.tensor(rgb).view(1, 3, 1, 1) / 127.5 - 1 for rgb in (COLOURS[colour], BACKGROUNDS[background]))
    return cover * front + (1 - cover) * back


def coverage(places: torch.Tensor, shape: str) -> torch.Tensor:
    """How much of each pixel the shape covers, (n, 64, 64) in 0..1, for places (n, 4: x, y, size, turn)."""
    grid = torch.arange(SIDE) + 0.5
    right = grid[None, None, :] - places[:, 0, None, None]
    below = grid[None, :, None] - places[:, 1, None, None]
    size, turn = places[:, 2, None, None], places[:, 3, None, None]
    dx, dy = turn.cos() * right + turn.sin() * below, turn.cos() * below - turn.sin() * right
    if shape == "circle":
        distance = (dx.square() + dy.square()).sqrt() - size
    elif shape == "square":
        distance = torch.maximum(dx.abs(), dy.abs()) - SQUARE_HALF * size
    elif shape == "triangle":
        # Pointing up; the centre is the centroid, half a circumradius above the base.
        half = TRIANGLE_CIRCUMRADIUS * size / 2
        slanted = dx.abs() * math.cos(math.pi / 6) - dy * 0.5
        distance = torch.maximum(dy, slanted) - half
    else:
        # One half of one of the five tips, its axis along the first coordinate; all others are its mirror images.
        angle = torch.atan2(dx, -dy)
        fold = math.pi / 5
        angle = (torch.remainder(angle + fold, 2 * fold) - fold).abs()
        radius = (dx.square() + dy.square()).sqrt()
        along, away = radius * angle.cos(), radius * angle.sin()
        # The edge runs from the tip to the dent.
        edge = (STAR_DENT * math.cos(fold) - STAR_TIP, STAR_DENT * math.sin(fold))
        length = math.hypot(*edge)
        distance = ((along - STAR_TIP * size) * edge[1] - away * edge[0]) / length
    return (0.5 - distance).clamp(0, 1)


def render(scene: Scene, frames: int = FRAMES) -> torch.Tensor:
    """Return the clip, (frames, 3, 64, 64) in -1..1."""
    return draw(path(scene, frames), scene.shape, scene.colour, scene.background)
