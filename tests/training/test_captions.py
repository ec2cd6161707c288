"""Captions: many ways to say one thing, and never the wrong thing."""

from __future__ import annotations

import pytest
import torch

from training.captions import COLOUR_WORDS, HELD_OUT_PHRASES, MOTION_PHRASES, SHAPE_WORDS, VOID, caption
from training.world import COLOURS, MOTIONS, SHAPES, random_scene


def test_every_motion_has_at_least_seven_phrasings() -> None:
    assert set(MOTION_PHRASES) == set(MOTIONS)
    for phrases in MOTION_PHRASES.values():
        assert len(set(phrases)) >= 7


def test_no_phrase_means_two_motions() -> None:
    phrases = [
        phrase for table in (MOTION_PHRASES, HELD_OUT_PHRASES) for said in table.values() for phrase in set(said)
    ]
    assert len(phrases) == len(set(phrases))


def test_every_colour_and_shape_can_be_named() -> None:
    assert set(COLOUR_WORDS) == set(COLOURS)
    assert set(SHAPE_WORDS) == set(SHAPES)


def test_a_caption_names_what_the_scene_shows() -> None:
    random = torch.Generator().manual_seed(1)
    for _ in range(300):
        scene = random_scene(random)
        said = caption(scene, random)
        words = said.text.lower()
        assert any(word in words for word in COLOUR_WORDS[scene.colour])
        assert any(word in words for word in SHAPE_WORDS[scene.shape])
        assert any(phrase in words for phrase in MOTION_PHRASES[scene.motion])
        assert -1 not in said.labels


def test_what_is_left_out_is_not_claimed() -> None:
    random = torch.Generator().manual_seed(2)
    said = [caption(random_scene(random), random, omit=1.0) for _ in range(20)]
    assert {item.colour for item in said} == {VOID}
    assert all(item.labels[0] == -1 for item in said)
    assert not any(colour in item.text for item in said for colour in COLOURS)


def test_plain_captions_read_like_a_short_request() -> None:
    random = torch.Generator().manual_seed(3)
    scene = random_scene(random, colour="orange", shape="square", motion="grow")
    assert caption(scene, random, plain=True).text.split()[0] in ("an", "a", "the", "one")


@pytest.mark.parametrize("motion", MOTIONS)
def test_held_out_phrasings_are_never_trained_on(motion: str) -> None:
    random = torch.Generator().manual_seed(4)
    texts = {caption(random_scene(random, motion=motion), random).text.lower() for _ in range(200)}
    for phrase in HELD_OUT_PHRASES[motion]:
        assert not any(text.endswith(phrase) for text in texts)
