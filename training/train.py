"""python -m training.train: every stage of the demo model, one resumable command.

    python -m training.train --run runs/demo            # about two hours on two cores
    python -m training.train --run runs/smoke --smoke   # every stage, under two minutes, draws nothing sensible

Stages: autoencoder, text tower, single images, clips. Each has a budget in minutes and stops when it is spent, on any
machine; a run that was interrupted goes on from its last checkpoint. The log and the contact sheets are in the run
folder. `python -m training.export` writes the released folder from what is there, `python -m training.score` scores it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from training.autoencoder import train_autoencoder
from training.check import sampling_check
from training.clips import make_clips
from training.text import train_text
from training.unet import CLIPS, IMAGES, train_unet


@dataclass(frozen=True)
class Budget:
    """Minutes per stage, and the clips rendered per colour, shape and motion."""

    autoencoder: float = 8
    text: float = 1.2
    images: float = 12
    clips: float = 75
    clips_per_kind: int = 20
    check_prompts: int = 32


SMOKE = Budget(autoencoder=0.2, text=0.1, images=0.15, clips=0.3, clips_per_kind=1, check_prompts=4)


def train(run: Path, seed: int, budget: Budget) -> None:
    """Run or resume all stages."""
    autoencoder = train_autoencoder(run, seed, budget.autoencoder * 60)
    tower = train_text(run, seed, budget.text * 60)
    clips = make_clips(run, autoencoder, seed, budget.clips_per_kind)
    train_unet(run, seed, budget.images * 60, IMAGES, clips, tower)
    # 900_000: far from every seed used in training.
    check = sampling_check(autoencoder, tower, seed=900_000, count=budget.check_prompts)
    train_unet(run, seed, budget.clips * 60, CLIPS, clips, tower, start=run / "images.pt", check=check)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="folder for checkpoints, log and sheets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="all stages in under two minutes, to see that they run")
    for stage in ("autoencoder", "text", "images", "clips"):
        parser.add_argument(f"--{stage}-minutes", type=float, default=None)
    arguments = parser.parse_args()
    budget = SMOKE if arguments.smoke else Budget()
    for stage in ("autoencoder", "text", "images", "clips"):
        minutes = getattr(arguments, f"{stage}_minutes")
        if minutes is not None:
            budget = replace(budget, **{stage: minutes})
    torch.set_num_threads(arguments.threads)
    train(arguments.run, arguments.seed, budget)


if __name__ == "__main__":
    main()
