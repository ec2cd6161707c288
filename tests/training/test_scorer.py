"""The reader of clips must be right on renderings before its figures about a model mean anything."""

from __future__ import annotations

import pytest
import torch

from training.scorer import MISSING, Reading, neatness, read
from training.world import BACKGROUNDS, FULL, MOTIONS, WORLDS, Scene, draw, path, random_scene, render


def expected(scene: Scene) -> Reading:
    return Reading(scene.colour, scene.shape, scene.motion, scene.background, scene.size)


def test_every_rendered_clip_is_read_right() -> None:
    random = torch.Generator().manual_seed(11)
    for i in range(72):
        scene = random_scene(random, motion=MOTIONS[i % len(MOTIONS)])
        assert read(render(scene), FULL) == expected(scene)


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_a_blank_clip_shows_nothing(level: float) -> None:
    reading = read(torch.full((16, 3, 64, 64), level), FULL)
    assert (reading.colour, reading.shape, reading.motion, reading.size) == (MISSING,) * 4


def test_noise_and_dimming_do_not_change_what_is_read() -> None:
    random = torch.Generator().manual_seed(12)
    for motion in MOTIONS:
        scene = random_scene(random, motion=motion)
        clip = (render(scene) + 1) * 0.93 - 1 + 0.04 * torch.randn(16, 3, 64, 64, generator=random)
        assert read(clip, FULL) == expected(scene)


def test_an_object_that_vanishes_half_way_is_not_counted() -> None:
    clip = render(random_scene(torch.Generator().manual_seed(13), motion="right", background="gray"))
    clip[8:] = clip[0, :, 0, 0].view(3, 1, 1)
    assert read(clip, FULL).motion == MISSING


def test_a_motion_too_small_to_see_is_still() -> None:
    scene = random_scene(torch.Generator().manual_seed(14), motion="right")
    clip = render(scene)
    # The first quarter of the path only.
    assert read(clip[:4].repeat_interleave(4, dim=0), FULL).motion == "still"


@pytest.mark.parametrize("shape", ["square", "triangle", "star"])
def test_a_turn_the_wrong_way_or_half_way_is_not_spinning(shape: str) -> None:
    clip = render(Scene("red", shape, "spin"))
    assert read(clip, FULL).motion == "spin"
    assert read(clip.flip(0), FULL).motion == "still"
    assert read(clip[:6].repeat_interleave(3, dim=0)[:16], FULL).motion == "still"


def test_a_tilted_shape_is_still_that_shape() -> None:
    tilted = path(Scene("red", "square", "still")) + torch.tensor([0, 0, 0, 0.6])
    assert read(draw(tilted, "square", "red"), FULL).shape == "square"


def test_a_background_of_the_wrong_colour_is_noticed() -> None:
    for background in BACKGROUNDS:
        assert read(render(Scene("pink", "circle", "left", background)), FULL).background == background


def test_a_model_is_read_as_what_its_world_has() -> None:
    pink = render(Scene("pink", "star", "still"))
    assert read(pink, FULL).colour == "pink"
    assert read(pink, WORLDS["first"]).colour in WORLDS["first"].colours
    assert read(pink, WORLDS["first"]).shape in WORLDS["first"].shapes


def test_bumps_make_an_outline_less_neat() -> None:
    clip = render(Scene("green", "square", "still"))
    bumpy = clip.clone()
    bumpy[:, :, 28:36, 40:46] = clip[0, :, 32, 32].view(3, 1, 1)
    assert neatness(clip, "square") > 0.93
    assert neatness(bumpy, "square") < neatness(clip, "square") - 0.05
