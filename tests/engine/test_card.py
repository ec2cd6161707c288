"""What web and bot processes know of a model without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from generations.engine.base import CheckpointError
from generations.engine.card import InvalidSpec, ModelCard, read_card


def write(folder: Path, **extension: Any) -> Path:
    document = {"model": {"model_args": {"max_frames": 8}, "model_cfg": {}}, "text_to_video_bot": extension}
    (folder / "configuration.json").write_text(json.dumps(document))
    return folder


def test_a_model_that_is_not_here_yet_gets_upstreams_card() -> None:
    card = read_card("iic/text-to-video-synthesis")
    assert card == ModelCard(name="iic/text-to-video-synthesis")


def test_a_folder_states_its_own_defaults_and_limits(tmp_path: Path) -> None:
    limits = {"width": [64, 64], "frames": [4, 8]}
    card = read_card(write(tmp_path, name="toy", defaults={"width": 64, "steps": 20}, limits=limits, upscale=4))
    assert (card.name, card.frames, card.width, card.steps, card.upscale) == ("toy", 8, 64, 20, 4)
    with pytest.raises(InvalidSpec, match=r"^width must be 64, not 128\.$"):
        card.spec("a", seed=1, width=128)
    with pytest.raises(InvalidSpec, match=r"^frames must be a whole number from 4 to 8, not 3\.$"):
        card.spec("a", seed=1, frames=3)


@pytest.mark.parametrize(
    "extension",
    [
        {"defaults": {"width": 65}},
        {"defaults": {"frames": 99}},
        {"defaults": {"depth": 3}},
        {"limits": {"width": [128]}},
        {"limits": {"width": "wide"}},
        {"defaults": 7},
    ],
    ids=str,
)
def test_a_card_that_contradicts_itself_is_refused(tmp_path: Path, extension: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"configuration\.json: not a readable ModelScope configuration"):
        read_card(write(tmp_path, **extension))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 3}', "\x00"])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "configuration.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"configuration\.json"):
        read_card(tmp_path)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(InvalidSpec, match=r"There is no setting called colour\."):
        ModelCard().spec("a", seed=1, colour="red")


@pytest.mark.parametrize("value", [True, "16", 16.0, None])
def test_only_whole_numbers_count_frames(value: Any) -> None:
    with pytest.raises(InvalidSpec, match="frames must be a whole number from 1 to 32"):
        ModelCard().spec("a", seed=1, frames=value)


def test_a_preset_brings_its_own_steps() -> None:
    card = ModelCard(steps=20, steps_range=(10, 50))
    assert [card.spec("a", seed=1, preset=name).steps for name in ("exact", "balanced", "draft")] == [20, 10, 4]


def test_steps_that_were_asked_for_win_over_the_presets() -> None:
    spec = ModelCard().spec("a", seed=1, preset="balanced", steps=33)
    assert (spec.preset, spec.steps) == ("balanced", 33)


def test_a_preset_may_take_fewer_steps_than_exact_but_no_fewer_than_its_own() -> None:
    card = ModelCard(steps=20, steps_range=(10, 50))
    with pytest.raises(InvalidSpec, match=r"^steps must be a whole number from 10 to 50, not 4\.$"):
        card.spec("a", seed=1, steps=4)
    with pytest.raises(InvalidSpec, match=r"^steps must be a whole number from 4 to 50, not 3\.$"):
        card.spec("a", seed=1, preset="draft", steps=3)


@pytest.mark.parametrize("name", ["quick", "", "EXACT", None, 3])
def test_an_unknown_preset_is_refused_with_the_legal_names(name: Any) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        ModelCard(presets=("exact", "balanced", "draft")).spec("a", seed=1, preset=name)
    assert str(refusal.value) == f"preset must be exact, balanced or draft, not {name}."
    assert refusal.value.field == "preset"
