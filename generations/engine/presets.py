"""Presets: how much arithmetic a clip may cost, chosen by name for each request. No torch, no Django.

`exact` is what the model's makers do and the only one that anybody gets without asking for another. The others compute
less and draw something else: the seed's noise stays the same, the clip does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from generations.engine.base import EXACT


@dataclass(frozen=True)
class Work:
    """What one denoising step computes.

    guided: both predictions, with and without the prompt; otherwise only the one with it, and the difference of the
    last guided step is taken again. deep: the whole UNet; otherwise its outermost level, on what the last deep step
    computed below it.
    """

    guided: bool = True
    deep: bool = True


@dataclass(frozen=True)
class Cost:
    """GFLOP, two per multiply-add: one UNet pass (whole, outermost level only), one prompt, decoding all frames."""

    unet: float
    unet_outermost: float
    text: float
    decode: float


# ModelScope's 1.7 B model, 16 frames of 256x256, one clip and one branch of guidance per pass: counted with torch's
# FlopCounterMode on its own classes (benchmarks.presets counts again).
MODELSCOPE_COST = Cost(unet=4887.1, unet_outermost=488.3, text=45.1, decode=9955)


@dataclass(frozen=True)
class Preset:
    """sampler: a name in modelscope/sampler.py. share: its steps as a share of the model's own.

    own_steps: instead of a share, the same for every model. guided: the share of the steps, from the noisiest on, that
    are guided; with none, nothing but the estimate with the prompt is ever computed. lora: only with weights that the
    operator supplies. deep_every: every so many steps the whole
    UNet runs. See Work for what the other steps leave out.
    """

    name: str
    sentence: str
    sampler: str
    share: Fraction = Fraction(1)
    own_steps: int | None = None
    most_steps: int = 1000
    guided: Fraction = Fraction(1)
    deep_every: int = 1
    lora: bool = False

    def steps(self, of_the_model: int) -> int:
        """Steps unless the request names its own; of_the_model: the steps that the model's makers take."""
        return self.own_steps or max(1, math.ceil(of_the_model * self.share))

    def plan(self, steps: int) -> list[Work]:
        """What each of the steps computes, noisiest first."""
        guided = math.ceil(steps * self.guided)
        return [Work(guided=i < guided, deep=i % self.deep_every == 0) for i in range(steps)]

    def gigaflops(self, steps: int, cost: Cost = MODELSCOPE_COST) -> float:
        """GFLOP of one clip: sum over steps of (2 if guided else 1) x a whole or outermost pass, both texts, decoding.

        steps: how many the sampler visits (DDIM visits a few more than asked for where 1000 is no multiple).
        """
        passes = sum(
            (2 if work.guided else 1) * (cost.unet if work.deep else cost.unet_outermost) for work in self.plan(steps)
        )
        return passes + 2 * cost.text + cost.decode


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(EXACT, "As the model's makers render it: the best it can do, and the slowest.", sampler="ddim"),
        Preset(
            "balanced",
            "Half the steps with a better solver: nearly the same quality in about half the time.",
            sampler="dpm_solver",
            share=Fraction(1, 2),
        ),
        Preset(
            "fast",
            "Balanced, with half of the estimates and half of the deep passes taken over from the step before.",
            sampler="dpm_solver",
            share=Fraction(1, 2),
            guided=Fraction(1, 2),
            deep_every=2,
        ),
        Preset(
            "draft",
            "A quick look at what a prompt and a seed will give: coarse.",
            sampler="dpm_solver",
            share=Fraction(1, 5),
        ),
        Preset(
            "turbo",
            "Four steps with the operator's few-step LoRA; guidance and negative prompt have no effect.",
            sampler="lcm",
            own_steps=4,
            most_steps=50,
            guided=Fraction(0),
            lora=True,
        ),
    )
}
