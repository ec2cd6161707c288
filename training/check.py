"""How good is it so far: a few prompts, sampled and read while training runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from training.captions import Caption, caption
from training.progress import Stage
from training.sampler import sample
from training.scorer import Reading, read
from training.sheet import contact_sheet
from training.text import TextTower
from training.upstream import Network
from training.world import RELEASED, World, random_scene

# What the released model can get wrong.
ASPECTS = RELEASED.aspects


@dataclass(frozen=True)
class Judged:
    """One prompt, what it asked for and what came."""

    wanted: Caption
    got: Reading
    # How neat the outline is, see scorer.neatness.
    outline: float = 0.0

    def right(self, aspect: str) -> bool:
        return bool(getattr(self.wanted, aspect) == getattr(self.got, aspect))


def prompts(
    seed: int, count: int, world: World = RELEASED, *, held_out: bool = False, unseen: bool | None = None
) -> list[Caption]:
    """Captions that name everything, all motions equally often."""
    random = torch.Generator().manual_seed(seed)
    motions = world.motions
    return [
        caption(random_scene(random, world, motion=motions[i % len(motions)], unseen=unseen), random, held_out=held_out)
        for i in range(count)
    ]


def share(judged: list[Judged], aspect: str) -> float:
    return sum(item.right(aspect) for item in judged) / max(1, len(judged))


def sampling_check(
    autoencoder: Network, tower: TextTower, world: World, *, seed: int, count: int
) -> Callable[[Network, Stage], None]:
    """Return a function that logs the shares right of `count` prompts and saves a contact sheet."""

    def check(unet: Network, stage: Stage) -> None:
        wanted = prompts(seed, count, world)
        clips = sample(unet, autoencoder, tower, [item.text for item in wanted], seed=seed, steps=15)
        judged = [Judged(item, read(clip, world)) for item, clip in zip(wanted, clips, strict=True)]
        shares = ", ".join(f"{aspect} {share(judged, aspect):.0%}" for aspect in world.aspects)
        wrong = [f"{item.wanted.motion}->{item.got.motion}" for item in judged if not item.right("motion")]
        stage.log(f"{count} prompts: {shares}; {' '.join(wrong)}")
        labels = [f"{item.wanted.text[:60]} | {item.got.colour} {item.got.shape} {item.got.motion}" for item in judged]
        contact_sheet(stage.run / f"sheet_{stage.name}_{stage.step:06d}.png", clips[:16], labels[:16])

    return check
