"""Every training stage runs, and an interrupted run goes on where it stopped."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.export import LIMIT_MB, MEGABYTE, RELEASED, average_state, export
from training.progress import Stage
from training.released import load_folder, load_world
from training.train import SMOKE, SMOKE_WORLD, Budget, train
from training.world import WORLDS


def test_a_stage_resumes_its_clock_and_step(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "images", 100)
    stage.step = 7
    stage.save(weights={"a": torch.ones(1)})
    again = Stage(tmp_path, "images", 100)
    state = again.load()
    assert state is not None
    assert state["weights"]["a"].item() == 1
    assert again.step == 7
    assert again.spent >= 0


def test_a_finished_stage_has_no_work_left(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "images", 0)
    assert stage.progress == 1


@pytest.mark.slow
def test_the_smoke_command_runs_all_stages_and_its_run_can_be_exported(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "training.train", "--smoke", "--threads", "1", "--run", tmp_path / "run"],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    train(tmp_path / "run", 1, SMOKE, SMOKE_WORLD)
    assert "clips" in (tmp_path / "run" / "log.txt").read_text()
    assert list((tmp_path / "run").glob("sheet_clips_*.png"))
    size = export(tmp_path / "run", tmp_path / "model", steps=10, guidance=2.0)
    assert size < LIMIT_MB * MEGABYTE
    assert load_world(tmp_path / "model") == SMOKE_WORLD


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_a_released_model_is_taught_on(tmp_path: Path) -> None:
    budget = Budget(autoencoder=0.02, text=0.02, clips=0.02, clips_per_kind=1, check_prompts=1)
    train(tmp_path, 1, budget, replace(WORLDS["black"], colours=("red", "pink")), RELEASED)
    assert not (tmp_path / "images.pt").exists()
    before, after = load_folder(RELEASED).unet, average_state(tmp_path)
    # A few steps change it a little; a network from nothing would be as far from it as it is long.
    change = torch.stack([(after[name] - before[name]).norm() / before[name].norm() for name in before])
    assert 0 < change.median() < 0.2
