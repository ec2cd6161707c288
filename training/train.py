"""python -m training.train: every stage of the demo model, one resumable command.

    python -m training.train --run runs/demo            # about two hours on two cores
    python -m training.train --run runs/smoke --smoke   # every stage, under two minutes, draws nothing sensible
    python -m training.train --run runs/next --start-from generations/engine/demo_model --world black

--start-from takes a released folder's three networks and teaches them on; the image stage is left out, because temporal
blocks that have learnt something cannot be skipped. --world says what to teach, see world.WORLDS.

Stages: autoencoder, text tower, single images, clips. Each has a budget in minutes and stops when it is spent, on any
machine; a run that was interrupted goes on from its last checkpoint. The log and the contact sheets are in the run
folder. `python -m training.export` writes the released folder from what is there, `python -m training.score` scores it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from training.autoencoder import train_autoencoder
from training.check import sampling_check
from training.clips import make_clips
from training.released import load_folder
from training.text import train_text
from training.unet import CLIPS, IMAGES, train_unet
from training.world import FULL, WORLDS, World


@dataclass(frozen=True)
class Budget:
    """Minutes per stage, and the clips rendered per colour, shape and motion."""

    autoencoder: float = 8
    text: float = 1.2
    images: float = 12
    clips: float = 75
    clips_per_kind: int = 6
    check_prompts: int = 32


SMOKE = Budget(autoencoder=0.05, text=0.02, images=0.05, clips=0.05, clips_per_kind=1, check_prompts=1)
# Everything that moves, in few enough colours that its clips are encoded in seconds.
SMOKE_WORLD = World(colours=("red", "pink"), backgrounds=("black",), sizes=("medium",))


def train(run: Path, seed: int, budget: Budget, world: World = FULL, start_from: Path | None = None) -> None:
    """Run or resume all stages."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "world.json").write_text(json.dumps(asdict(world)), encoding="utf-8")
    start = load_folder(start_from) if start_from else None
    autoencoder = train_autoencoder(run, seed, budget.autoencoder * 60, start.autoencoder if start else None, world)
    tower = train_text(run, seed, budget.text * 60, start.text if start else None, world)
    clips = make_clips(run, autoencoder, seed, budget.clips_per_kind, world)
    if start:
        unet = start.unet
    else:
        train_unet(run, seed, budget.images * 60, IMAGES, clips, tower)
        unet = torch.load(run / "images.pt", map_location="cpu", weights_only=True)["average"]
    # 900_000: far from every seed used in training.
    check = sampling_check(autoencoder, tower, world, seed=900_000, count=budget.check_prompts)
    train_unet(run, seed, budget.clips * 60, CLIPS, clips, tower, start=unet, check=check)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="folder for checkpoints, log and sheets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="all stages in under two minutes, to see that they run")
    for stage in ("autoencoder", "text", "images", "clips"):
        parser.add_argument(f"--{stage}-minutes", type=float, default=None)
    parser.add_argument("--world", choices=WORLDS, help="what to teach; full, or two colours to smoke")
    parser.add_argument("--start-from", type=Path, help="a model folder to go on from")
    arguments = parser.parse_args()
    budget = SMOKE if arguments.smoke else Budget()
    for stage in ("autoencoder", "text", "images", "clips"):
        minutes = getattr(arguments, f"{stage}_minutes")
        if minutes is not None:
            budget = replace(budget, **{stage: minutes})
    torch.set_num_threads(arguments.threads)
    # Tiny activations would otherwise take a slow path through the processor.
    torch.set_flush_denormal(True)
    world = WORLDS[arguments.world] if arguments.world else SMOKE_WORLD if arguments.smoke else FULL
    train(arguments.run, arguments.seed, budget, world, arguments.start_from)


if __name__ == "__main__":
    main()
