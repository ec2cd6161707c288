"""What each preset computes, and what that costs."""

from __future__ import annotations

from fractions import Fraction

import pytest

from generations.engine.base import VideoSpec
from generations.engine.presets import MODELSCOPE_COST, PRESETS, Cost, Preset, Work


def test_nobody_gets_less_than_exact_without_asking() -> None:
    assert VideoSpec("a", seed=1).preset == "exact"
    exact = PRESETS["exact"]
    assert (exact.sampler, exact.steps(50), exact.steps(20)) == ("ddim", 50, 20)
    assert set(exact.plan(50)) == {Work(guided=True, deep=True)}


def test_balanced_takes_half_the_steps_of_whichever_model() -> None:
    assert [PRESETS["balanced"].steps(own) for own in (50, 20, 1)] == [25, 10, 1]


def test_later_steps_may_leave_work_out() -> None:
    preset = Preset("p", "", "dpm_solver", guided=Fraction(1, 2), deep_every=2)
    assert preset.plan(5) == [
        Work(guided=True, deep=True),
        Work(guided=True, deep=False),
        Work(guided=True, deep=True),
        Work(guided=False, deep=False),
        Work(guided=False, deep=True),
    ]


def test_the_cost_is_the_sum_of_what_is_computed() -> None:
    cost = Cost(unet=100, unet_outermost=10, text=1, decode=1000)
    assert PRESETS["exact"].gigaflops(3, cost) == 3 * 2 * 100 + 2 + 1000
    mixed = Preset("p", "", "dpm_solver", guided=Fraction(1, 2), deep_every=2)
    assert mixed.gigaflops(5, cost) == 200 + 20 + 200 + 10 + 100 + 2 + 1000


def test_exact_at_the_real_models_size_is_the_published_count() -> None:
    assert round(PRESETS["exact"].gigaflops(50, MODELSCOPE_COST) / 1000, 1) == 498.8


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "exact"])
def test_every_other_preset_is_cheaper_than_exact(name: str) -> None:
    exact, preset = PRESETS["exact"], PRESETS[name]
    assert preset.gigaflops(preset.steps(50)) < 0.6 * exact.gigaflops(50)
