"""The folder that ships: small, openable without running code, and loaded by the product's engine."""

from __future__ import annotations

import json

import pytest
import torch

from generations.engine.card import read_card
from training.export import LIMIT_MB, MEGABYTE, RELEASED, configuration, draws
from training.released import load_autoencoder, load_folder, load_world
from training.text import TextTower, known_tokens, tokens
from training.world import RELEASED as RELEASED_WORLD

WEIGHTS = ("text2video_pytorch_model.pth", "VQGAN_autoencoder.pth", "open_clip_pytorch_model.bin")

pytestmark = pytest.mark.skipif(not (RELEASED / WEIGHTS[0]).exists(), reason="no released weights in this checkout")


def test_the_folder_is_at_most_15_megabytes() -> None:
    assert sum(file.stat().st_size for file in RELEASED.iterdir()) <= LIMIT_MB * MEGABYTE


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_open_without_running_code(name: str) -> None:
    assert torch.load(RELEASED / name, weights_only=True)


def test_the_card_states_the_folders_own_defaults() -> None:
    card = read_card(RELEASED)
    assert (card.frames, card.width, card.height, card.upscale) == (16, 64, 64, 4)
    assert len(card.examples) == 6
    for example in card.examples:
        card.spec(example, seed=1)


def test_the_examples_use_words_the_model_was_taught() -> None:
    taught = set(known_tokens().tolist())
    for example in read_card(RELEASED).examples:
        assert set(tokens([example])[0].tolist()) - {0} <= taught, example


def test_the_configuration_is_what_the_exporter_writes() -> None:
    written = json.loads((RELEASED / "configuration.json").read_text(encoding="utf-8"))
    defaults = written["text_to_video_bot"]["defaults"]
    frames = tuple(written["text_to_video_bot"]["limits"]["frames"])
    assert written == configuration(steps=defaults["steps"], guidance=defaults["guidance_scale"], frames=frames)


def test_the_engine_loads_it_and_words_reach_the_network() -> None:
    from generations.engine.modelscope.pipeline import ModelScopeEngine

    ModelScopeEngine(RELEASED, "cpu").self_test()


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_training_can_go_on_from_it() -> None:
    from training.unet import Trainer

    start = load_folder(RELEASED)
    Trainer(1, temporal_scale=1.0).start_from(start.unet)
    tower = TextTower()
    tower.start_from(start.text)
    again = tower.full_state()["token_embedding.weight"]
    taught = start.text["token_embedding.weight"].any(dim=1)
    assert torch.equal(again[taught], start.text["token_embedding.weight"][taught])
    assert load_autoencoder(RELEASED).decoder is not None


def test_scores_ask_for_what_it_was_taught() -> None:
    assert load_world(RELEASED) == RELEASED_WORLD
    card = read_card(RELEASED)
    assert card.draws == draws(RELEASED_WORLD)
    for word in (*RELEASED_WORLD.colours, *RELEASED_WORLD.shapes):
        assert word in card.draws
