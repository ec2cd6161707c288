"""Captions: many ways to say one thing, and never the wrong thing."""

from __future__ import annotations

import pytest
import torch

from training.captions import (
    ASPECTS,
    BACKGROUND_WORDS,
    CLASSES,
    COLOUR_WORDS,
    HELD_OUT_PHRASES,
    MOTION_PHRASES,
    SHAPE_WORDS,
    SIZE_WORDS,
    VOID,
    caption,
)
from training.score import UNKNOWN_WORDS, hand_written, with_unknown_words
from training.text import known_tokens, tokens
from training.world import BACKGROUNDS, COLOURS, FULL, MOTIONS, SHAPES, SIZES, WORLDS, random_scene


def test_every_motion_has_at_least_eight_phrasings() -> None:
    assert set(MOTION_PHRASES) == set(MOTIONS)
    for phrases in MOTION_PHRASES.values():
        assert len(set(phrases)) >= 8


def test_no_phrase_means_two_motions() -> None:
    phrases = [
        phrase for table in (MOTION_PHRASES, HELD_OUT_PHRASES) for said in table.values() for phrase in set(said)
    ]
    assert len(phrases) == len(set(phrases))


def test_everything_in_the_world_can_be_named() -> None:
    assert set(COLOUR_WORDS) == set(COLOURS)
    assert set(SHAPE_WORDS) == set(SHAPES)
    assert set(BACKGROUND_WORDS) == set(BACKGROUNDS)
    assert set(SIZE_WORDS) == set(SIZES)


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
        assert tuple(CLASSES[aspect][label] for aspect, label in zip(ASPECTS, said.labels, strict=True)) == (
            scene.colour, scene.shape, scene.motion, scene.background, scene.size,
        )  # fmt: skip


def test_a_background_or_size_is_said_unless_it_is_the_usual_one() -> None:
    random = torch.Generator().manual_seed(5)
    for _ in range(300):
        scene = random_scene(random)
        words = caption(scene, random).text.lower()
        if scene.background != "black":
            assert any(word in words for word in BACKGROUND_WORDS[scene.background])
        if scene.size != "medium":
            assert any(word in words for word in SIZE_WORDS[scene.size])


def test_what_is_left_out_is_not_claimed() -> None:
    random = torch.Generator().manual_seed(2)
    said = [caption(random_scene(random, WORLDS["black"]), random, omit=1.0) for _ in range(20)]
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


def test_forty_prompts_were_written_by_hand_and_use_the_whole_world() -> None:
    listed = hand_written(FULL)
    assert len({item.text for item in listed}) == 40
    for aspect in ASPECTS:
        assert {getattr(item, aspect) for item in listed} == set(CLASSES[aspect])


def test_only_what_a_model_was_taught_is_asked_of_it() -> None:
    listed = hand_written(WORLDS["first"])
    assert len(listed) == 16
    assert {item.background for item in listed} == {"black"}


def test_unknown_words_are_unknown_and_change_what_is_written_only() -> None:
    assert not set(tokens(UNKNOWN_WORDS).flatten().tolist()) & (set(known_tokens().tolist()) - {0, 49406, 49407})
    listed = hand_written(FULL)
    for before, after in zip(listed, with_unknown_words(listed, 1), strict=True):
        kept = [word for word in after.text.split() if word not in UNKNOWN_WORDS]
        assert kept == before.text.split()
        assert len(after.text.split()) > len(kept)
        assert after.labels == before.labels
