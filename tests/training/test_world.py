"""The rendered world: what every figure about the demo model rests on."""

from __future__ import annotations

import pytest
import torch

from training.world import COLOURS, MOTIONS, SHAPES, Scene, path, random_scene, render


def test_the_same_seed_renders_the_same_pixels() -> None:
    first = render(random_scene(torch.Generator().manual_seed(3)))
    second = render(random_scene(torch.Generator().manual_seed(3)))
    assert first.shape == (16, 3, 64, 64)
    assert torch.equal(first, second)


def test_another_seed_renders_another_clip() -> None:
    first = random_scene(torch.Generator().manual_seed(3))
    second = random_scene(torch.Generator().manual_seed(4))
    assert first != second


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_clip_played_backwards_is_the_opposite_motion(motion: str) -> None:
    scene = random_scene(torch.Generator().manual_seed(5), motion=motion)
    assert torch.allclose(render(scene).flip(0), render(scene.reversed()), atol=1e-3)


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_object_never_leaves_the_frame(motion: str, shape: str) -> None:
    random = torch.Generator().manual_seed(6)
    for _ in range(20):
        clip = render(random_scene(random, motion=motion, shape=shape))
        border = torch.cat([clip[..., 0], clip[..., -1], clip[:, :, -1]], dim=-1)
        assert border.max() == -1


def test_the_background_is_black_and_the_object_has_its_colour() -> None:
    clip = render(Scene("orange", "circle", "still"))
    assert clip[0, :, 0, 0].tolist() == [-1, -1, -1]
    middle = ((clip[0, :, 32, 32] + 1) * 127.5).round().int().tolist()
    assert tuple(middle) == COLOURS["orange"]


def test_edges_are_smooth() -> None:
    frame = render(Scene("red", "circle", "still"))[0, 0]
    assert ((frame > -0.9) & (frame < 0.7)).sum() > 10


def test_right_moves_right_and_growing_grows() -> None:
    right = path(Scene("red", "circle", "right"))
    assert (right[1:, 0] > right[:-1, 0]).all()
    grow = path(Scene("red", "circle", "grow"))
    assert (grow[1:, 2] > grow[:-1, 2]).all()
