"""The reader of clips must be right on renderings before its figures about a model mean anything."""

from __future__ import annotations

import torch

from training.scorer import MISSING, Reading, read
from training.world import MOTIONS, random_scene, render


def test_every_rendered_clip_is_read_right() -> None:
    random = torch.Generator().manual_seed(11)
    for i in range(80):
        scene = random_scene(random, motion=MOTIONS[i % len(MOTIONS)])
        assert read(render(scene)) == Reading(scene.colour, scene.shape, scene.motion)


def test_a_blank_clip_shows_nothing() -> None:
    assert read(torch.full((16, 3, 64, 64), -1.0)) == Reading(MISSING, MISSING, MISSING)


def test_noise_and_dimming_do_not_change_what_is_read() -> None:
    random = torch.Generator().manual_seed(12)
    for motion in MOTIONS:
        scene = random_scene(random, motion=motion)
        clip = (render(scene) + 1) * 0.85 - 1 + 0.05 * torch.randn(16, 3, 64, 64, generator=random)
        assert read(clip) == Reading(scene.colour, scene.shape, scene.motion)


def test_an_object_that_vanishes_half_way_is_not_counted() -> None:
    clip = render(random_scene(torch.Generator().manual_seed(13), motion="right"))
    clip[8:] = -1
    assert read(clip).motion == MISSING


def test_a_motion_too_small_to_see_is_still() -> None:
    scene = random_scene(torch.Generator().manual_seed(14), motion="right")
    clip = render(scene)
    # The first quarter of the path only.
    assert read(clip[:4].repeat_interleave(4, dim=0)).motion == "still"
