"""The rendered world: what every figure about the demo model rests on."""

from __future__ import annotations

import math

import pytest
import torch

from training.scorer import AREA
from training.world import (
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZES,
    UNSEEN_PAIRS,
    WORLDS,
    Scene,
    coverage,
    path,
    possible,
    random_scene,
    render,
)


def test_the_same_seed_renders_the_same_pixels() -> None:
    first = render(random_scene(torch.Generator().manual_seed(3)))
    second = render(random_scene(torch.Generator().manual_seed(3)))
    assert first.shape == (16, 3, 64, 64)
    assert torch.equal(first, second)


def test_another_seed_renders_another_clip() -> None:
    first = random_scene(torch.Generator().manual_seed(3))
    second = random_scene(torch.Generator().manual_seed(4))
    assert first != second


@pytest.mark.parametrize("motion", [motion for motion in MOTIONS if motion != "spin"])
def test_a_clip_played_backwards_is_the_opposite_motion(motion: str) -> None:
    scene = random_scene(torch.Generator().manual_seed(5), motion=motion)
    assert torch.allclose(render(scene).flip(0), render(scene.reversed()), atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "motion"), [(s, m) for s in SHAPES for m in MOTIONS if possible("red", s, m, "black")]
)
def test_the_object_never_leaves_the_frame(shape: str, motion: str) -> None:
    random = torch.Generator().manual_seed(6)
    for size in SIZES:
        for _ in range(8):
            scene = random_scene(random, motion=motion, shape=shape, size=size)
            cover = coverage(path(scene), shape)
            border = torch.cat([cover[:, 0], cover[..., 0], cover[..., -1], cover[:, -1]], dim=-1)
            assert border.max() == 0


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_object_and_background_have_the_colours_asked_for(background: str) -> None:
    clip = render(Scene("orange", "circle", "still", background))
    corner, middle = (((clip[0, :, i, i] + 1) * 127.5).round().int().tolist() for i in (0, 32))
    assert tuple(corner) == BACKGROUNDS[background]
    assert tuple(middle) == COLOURS["orange"]


def test_every_colour_stands_out_from_every_background_it_may_have() -> None:
    for colour, front in COLOURS.items():
        for background, back in BACKGROUNDS.items():
            if possible(colour, "square", "still", background):
                assert max(abs(a - b) for a, b in zip(front, back, strict=True)) >= 80


def test_edges_are_smooth() -> None:
    frame = render(Scene("red", "circle", "still"))[0, 0]
    assert ((frame > -0.9) & (frame < 0.7)).sum() > 10


def test_right_moves_right_and_growing_grows() -> None:
    right = path(Scene("red", "circle", "right"))
    assert (right[1:, 0] > right[:-1, 0]).all()
    grow = path(Scene("red", "circle", "grow"))
    assert (grow[1:, 2] > grow[:-1, 2]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_covers_the_area_its_formula_gives(shape: str) -> None:
    cover = coverage(torch.tensor([[32.0, 32.0, 14.0, 0.3]]), shape)
    assert float(cover.sum()) == pytest.approx(AREA[shape] * 14**2, rel=0.02)


def test_a_spinning_square_turns_clockwise() -> None:
    # A point right of the centre goes down: the corner of a square turned by 45 degrees lies there.
    cover = coverage(torch.tensor([[32.0, 32.0, 12.0, math.pi / 4], [32.0, 32.0, 12.0, 0.0]]), "square")
    assert cover[0, 32, 32 + 13] == 1
    assert cover[1, 32, 32 + 13] == 0
    star = coverage(torch.tensor([[32.0, 32.0, 12.0, math.pi / 2]]), "star")
    assert star[0, 32, 32 + 15] > 0.5
    assert star[0, 32, 32 - 15] == 0


def test_sizes_can_be_told_apart() -> None:
    areas = [float(coverage(path(Scene("red", "star", "still", size=size)), "star").sum()) for size in SIZES]
    assert areas[0] * 1.5 < areas[1] < areas[2] / 1.5


def test_pairs_kept_for_the_test_are_never_drawn_for_training() -> None:
    random = torch.Generator().manual_seed(8)
    drawn = [random_scene(random, unseen=False) for _ in range(300)]
    assert not {(scene.colour, scene.shape) for scene in drawn} & set(UNSEEN_PAIRS)
    kept = [random_scene(random, unseen=True) for _ in range(50)]
    assert {(scene.colour, scene.shape) for scene in kept} == set(UNSEEN_PAIRS)


def test_nothing_invisible_is_drawn() -> None:
    random = torch.Generator().manual_seed(9)
    for _ in range(300):
        scene = random_scene(random)
        assert (scene.shape, scene.motion) != ("circle", "spin")
        assert (scene.colour, scene.background) != ("white", "white")


@pytest.mark.parametrize("name", WORLDS)
def test_a_smaller_world_draws_nothing_from_outside(name: str) -> None:
    world, random = WORLDS[name], torch.Generator().manual_seed(10)
    for _ in range(100):
        scene = random_scene(random, world)
        assert world.has(scene.colour, scene.shape, scene.motion, scene.background, scene.size)
    assert "motion" in world.aspects
    assert ("background" in world.aspects) == (len(world.backgrounds) > 1)
