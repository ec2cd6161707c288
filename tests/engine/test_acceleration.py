"""Graphs and compilation: the same clips, and none of them missing where a machine cannot do it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from generations.engine import load_engine
from generations.engine.base import EngineError, VideoSpec, render_one
from generations.engine.modelscope import acceleration
from generations.engine.modelscope.acceleration import Accelerated
from generations.engine.modelscope.pipeline import ModelScopeEngine
from tests.engine.test_render import silent

CUDA = torch.device("cuda")


class RecordedGraph:
    """CudaGraph's stand-in where there is no GPU: it, too, sees nothing but its own tensors after the recording."""

    made = 0

    def __init__(self, work: Callable[[Sequence[Tensor]], Tensor], inputs: Sequence[Tensor]) -> None:
        type(self).made += 1
        self._work = work
        self._inputs = [value.clone() for value in inputs]

    def set(self, place: int, value: Tensor) -> None:
        self._inputs[place].copy_(value)

    def run(self) -> Tensor:
        return self._work(self._inputs)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> type[RecordedGraph]:
    RecordedGraph.made = 0
    monkeypatch.setattr(acceleration, "CudaGraph", RecordedGraph)
    return RecordedGraph


@pytest.fixture
def by_graphs(graphs: type[RecordedGraph], model_folder: Path) -> ModelScopeEngine:
    """An engine on the CPU that runs its UNet the way a GPU's does."""
    engine = ModelScopeEngine(model_folder, "cpu")
    engine.accelerated = Accelerated(engine.unet, "auto", CUDA)
    return engine


def test_a_graph_is_recorded_once_per_shape_and_draws_the_same_clips(
    by_graphs: ModelScopeEngine, engine: ModelScopeEngine, graphs: type[RecordedGraph], spec: VideoSpec
) -> None:
    other = replace(spec, prompt="a blue square", seed=8, steps=5)
    for one in (spec, other, spec):
        assert np.array_equal(render_one(by_graphs, one), render_one(engine, one))
    assert graphs.made == 1
    # Two clips in one pass are one more shape.
    for _ in range(2):
        together = [spec, replace(other, steps=2)]
        for found, expected in zip(by_graphs.render(together, silent), engine.render(together, silent), strict=True):
            assert np.array_equal(found, expected)
    assert graphs.made == 2


def test_more_shapes_than_are_kept_are_recorded_anew(
    by_graphs: ModelScopeEngine, graphs: type[RecordedGraph], spec: VideoSpec
) -> None:
    for frames in (1, 2, 3, 3, 2, 1):
        render_one(by_graphs, replace(spec, frames=frames))
    assert graphs.made == 4


@pytest.mark.parametrize("mode", ["graphs", "compile"])
def test_a_machine_that_cannot_do_it_renders_plainly_and_says_so_once(
    model_folder: Path,
    engine: ModelScopeEngine,
    spec: VideoSpec,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("no kernel image is available\nand more")

    monkeypatch.setattr(acceleration, "CudaGraph", broken)
    monkeypatch.setattr(torch, "compile", lambda work, dynamic: broken)
    failing = ModelScopeEngine(model_folder, "cpu")
    failing.accelerated = Accelerated(failing.unet, mode, CUDA if mode == "graphs" else torch.device("cpu"))
    failing.self_test()
    for _ in range(2):
        assert np.array_equal(render_one(failing, spec), render_one(engine, spec))
    told = [record.message for record in caplog.records]
    assert told == ["acceleration is switched off: RuntimeError: no kernel image is available"]


def test_a_graph_that_does_not_fit_is_answered_by_one_prompt_at_a_time(
    by_graphs: ModelScopeEngine, engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(RecordedGraph):
        def __init__(self, work: Callable[[Sequence[Tensor]], Tensor], inputs: Sequence[Tensor]) -> None:
            super().__init__(work, inputs)
            if self.made == 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(acceleration, "CudaGraph", Full)
    expected = render_one(engine, spec).astype(int)
    assert abs(render_one(by_graphs, spec) - expected).max() <= 1
    assert (Full.made, by_graphs.accelerated.on) == (2, True)


def test_the_self_test_leaves_an_acceleration_that_computes_something_else(
    by_graphs: ModelScopeEngine, engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_graphs.self_test()
    assert by_graphs.accelerated.on
    monkeypatch.setattr(RecordedGraph, "run", lambda self: self._work(self._inputs) * 1.5)
    by_graphs.self_test()
    assert not by_graphs.accelerated.on
    assert np.array_equal(render_one(by_graphs, spec), render_one(engine, spec))


def test_full_precision_lets_go_of_graphs_that_hold_other_weights(
    by_graphs: ModelScopeEngine, graphs: type[RecordedGraph], spec: VideoSpec
) -> None:
    render_one(by_graphs, spec)
    with by_graphs._full_precision():
        render_one(by_graphs, spec)
    render_one(by_graphs, spec)
    assert graphs.made == 3


@pytest.mark.parametrize(
    ("mode", "device", "on"),
    [
        ("auto", "cpu", False),
        ("graphs", "cpu", False),
        ("off", "cpu", False),
        ("compile", "cpu", True),
        ("auto", "cuda", True),
        ("graphs", "cuda", True),
        ("off", "cuda", False),
        ("compile", "cuda", True),
    ],
)
def test_one_setting_switches_it(engine: ModelScopeEngine, mode: str, device: str, on: bool) -> None:
    assert Accelerated(engine.unet, mode, torch.device(device)).on is on


def test_an_unknown_way_stops_the_start(model_folder: Path) -> None:
    with pytest.raises(EngineError, match="ENGINE_ACCELERATION must be one of auto, off, graphs, compile, not 'fast'"):
        load_engine(model_folder, "cpu", acceleration="fast")


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network_draws_the_same_clip(
    model_folder: Path, engine: ModelScopeEngine, spec: VideoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as one piece; generating machine code as well takes minutes and is torch's own business."""
    whole = functools.partial(torch.compile, backend="eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", whole)
    compiled = ModelScopeEngine(model_folder, "cpu", acceleration="compile")
    assert np.array_equal(render_one(compiled, spec), render_one(engine, spec))
    assert compiled.accelerated.on
