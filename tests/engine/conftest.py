from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from generations.engine.base import VideoSpec
from generations.engine.modelscope.pipeline import ModelScopeEngine
from tests.engine.checkpoint import write_checkpoint


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Not more for tests that call networks without an engine than for those that have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in ModelScope's format. Shared: tests that change it take own_folder."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def own_folder(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def engine(model_folder: Path) -> ModelScopeEngine:
    return ModelScopeEngine(model_folder, "cpu")


@pytest.fixture
def spec(engine: ModelScopeEngine) -> VideoSpec:
    return engine.card.spec("a red circle moving left", seed=7, steps=2)
