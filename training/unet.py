"""Stages 3 and 4: UNetSD on single frames (colour and shape), then on clips (motion)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from training.captions import caption
from training.clips import Clips
from training.fast_unet import FastUNet, is_temporal, without_dropout
from training.progress import Stage, cosine, set_rate
from training.text import TextTower, tokens, with_unknown_words
from training.threads import Threads
from training.upstream import UNET_CONFIG, Network, alphas_cumprod, build_unet
from training.world import SIDE

# Drops the caption in that share of examples, which teaches the unconditional half of guidance.
EMPTY_SHARE = 0.1
# From this noise level on, a share of the inputs is pure noise, as at the first step of sampling. Real inputs still
# carry 7 % of the picture there, and the network would learn to read colour and direction from it, not from the text.
PURE_FROM, PURE_SHARE = 900, 0.4
EMA = 0.998


@dataclass
class Batch:
    """x0 (b, 4, f, 8, 8), paths (b, f, 3), text (b, 77, 1024)."""

    x0: torch.Tensor
    paths: torch.Tensor
    text: torch.Tensor
    twins: int = 1


def make_batch(
    clips: Clips, tower: TextTower, random: torch.Generator, count: int, frames: int | None, *, twins: bool
) -> Batch:
    """Draw clips with fresh captions. frames: that many random frames of each. twins: both directions of each clip."""
    latents: list[torch.Tensor] = []
    paths: list[torch.Tensor] = []
    texts: list[str] = []
    while len(latents) < count:
        index = int(torch.randint(len(clips), (), generator=random))
        backwards = bool(torch.rand((), generator=random) < 0.5)
        for direction in (backwards, not backwards) if twins else (backwards,):
            x0, places, scene = clips.clip(index, direction)
            if frames is not None:
                chosen = torch.randint(len(x0), (frames,), generator=random)
                x0, places = x0[chosen], places[chosen]
            latents.append(x0)
            paths.append(places)
            empty = bool(torch.rand((), generator=random) < EMPTY_SHARE)
            texts.append("" if empty else caption(scene, random, omit=0.05).text)
    ids = with_unknown_words(tokens(texts), random)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        text = tower(ids).float()
    return Batch(torch.stack(latents).transpose(1, 2), torch.stack(paths), text, 2 if twins else 1)


def random_times(count: int, random: torch.Generator) -> torch.Tensor:
    """(count,) time steps, stratified; half of them from the noisier half, where place and direction are decided."""
    u = (torch.arange(count) + torch.rand(count, generator=random)) / count
    t = torch.where(u < 0.5, u * 2000, 500 + (u - 0.5) * 1000)
    return t.long().clamp(0, 999)[torch.randperm(count, generator=random)]


def loss_weight(alpha: torch.Tensor, cap: float) -> torch.Tensor:
    """Weight of the noise error per example: an error in noise counts in the picture as 1 / alpha, up to a cap."""
    return (1 / alpha).clamp(max=cap) / 5


class Trainer:
    """Network, averaged copy, optimiser and the layout head; knows one training step."""

    def __init__(self, seed: int, *, temporal_scale: float) -> None:
        torch.manual_seed(seed + 3)
        self.unet = without_dropout(build_unet())
        self.fast = FastUNet(self.unet)
        self.average = copy.deepcopy(self.unet).eval().requires_grad_(False)
        # Reads every frame's place and size from the middle of the network. Only for training: from pure noise, that
        # answer needs the text and the frame's position in time, so direction gets a gradient of its own.
        width = UNET_CONFIG["dim"] * UNET_CONFIG["dim_mult"][-1]
        self.layout = nn.Sequential(nn.Flatten(1), nn.LayerNorm(width * 16), nn.Linear(width * 16, 3))
        named = list(self.unet.named_parameters())
        temporal = [p for name, p in named if is_temporal(name, self.unet)]
        spatial = [p for name, p in named if not is_temporal(name, self.unet)] + list(self.layout.parameters())
        self.optimiser = torch.optim.AdamW(
            [{"params": spatial, "scale": 1.0}, {"params": temporal, "scale": temporal_scale}],
            lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True,
        )  # fmt: skip
        self.alphas = alphas_cumprod().float()

    def step(
        self,
        batch: Batch,
        random: torch.Generator,
        *,
        rate: float,
        temporal: bool,
        cap: float,
        layout: float,
        step: int,
    ) -> dict[str, float]:
        """One optimiser step; returns the figures worth logging."""
        set_rate(self.optimiser, rate)
        b = len(batch.x0)
        # Twins share noise and noise level: only the caption tells the two directions apart.
        t = random_times(b // batch.twins, random).repeat_interleave(batch.twins)
        noise = torch.randn(batch.x0[:: batch.twins].shape, generator=random).repeat_interleave(batch.twins, dim=0)
        alpha = self.alphas[t].view(b, 1, 1, 1, 1)
        pure = (t >= PURE_FROM) & (torch.rand(b // batch.twins, generator=random) < PURE_SHARE).repeat_interleave(
            batch.twins
        )
        pure = pure.view(b, 1, 1, 1, 1)
        x = torch.where(pure, noise, alpha.sqrt() * batch.x0 + (1 - alpha).sqrt() * noise)
        wanted = torch.where(pure, (noise - alpha.sqrt() * batch.x0) / (1 - alpha).sqrt(), noise)
        with torch.autocast("cpu", torch.bfloat16):
            predicted, middle = self.fast(x, t, batch.text, temporal)
        error = (predicted - wanted).square().mean(dim=(1, 2, 3, 4))
        loss = noise_loss = (loss_weight(self.alphas[t], cap) * error).mean()
        places = (batch.paths.flatten(0, 1) - SIDE / 2 * torch.tensor([1.0, 1.0, 0.35])) / 8
        layout_loss = F.smooth_l1_loss(self.layout(middle.float()), places)
        if layout:
            loss = loss + layout * layout_loss
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimiser.step()
        decay = min(EMA, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.unet.parameters()), 1 - decay)
        high = t >= 800
        return {
            "loss": float(noise_loss.detach()),
            "layout": float(layout_loss.detach()),
            "error": float(error.detach().mean()),
            "error>800": float(error.detach()[high].mean()) if high.any() else 0.0,
        }

    def state(self) -> dict[str, object]:
        return {
            "unet": self.unet.state_dict(),
            "average": self.average.state_dict(),
            "layout": self.layout.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load(self, state: dict[str, dict[str, object]], *, optimiser: bool = True) -> None:
        self.unet.load_state_dict(state["unet"])
        self.average.load_state_dict(state["average"])
        self.layout.load_state_dict(state["layout"])
        if optimiser:
            scales = [group["scale"] for group in self.optimiser.param_groups]
            self.optimiser.load_state_dict(state["optimiser"])
            for group, scale in zip(self.optimiser.param_groups, scales, strict=True):
                group["scale"] = scale


@dataclass(frozen=True)
class Recipe:
    """What differs between the two stages."""

    name: str
    batch: int
    # Random frames per clip, or None for whole clips through the temporal blocks.
    frames: int | None
    rate: float
    cap: float
    layout: float
    temporal_scale: float = 1.0
    seed_offset: int = 0
    check_every: float = 0


IMAGES = Recipe("images", batch=32, frames=4, rate=1.5e-3, cap=16, layout=0.05, seed_offset=10)
CLIPS = Recipe(
    "clips", batch=16, frames=None, rate=1.2e-3, cap=64, layout=0.5, temporal_scale=2.0, seed_offset=20, check_every=480
)


def train_unet(
    run: Path,
    seed: int,
    seconds: float,
    recipe: Recipe,
    clips: Clips,
    tower: TextTower,
    *,
    start: Path | None = None,
    check: Callable[[Network, Stage], None] | None = None,
) -> Trainer:
    """Train or resume one stage, from another stage's checkpoint when start is given. check gets the averaged UNet."""
    trainer = Trainer(seed, temporal_scale=recipe.temporal_scale)
    stage = Stage(run, recipe.name, seconds, save_every=120)
    if state := stage.load():
        trainer.load(state)
    elif start:
        trainer.load(torch.load(start, weights_only=True), optimiser=False)
    random = torch.Generator().manual_seed((seed * 1_000 + recipe.seed_offset) * 1_000_000 + stage.step)
    figures: list[dict[str, float]] = []
    checked = stage.spent
    threads = Threads(torch.get_num_threads())
    while stage.progress < 1:
        batch = make_batch(clips, tower, random, recipe.batch, recipe.frames, twins=recipe.frames is None)
        row = trainer.step(
            batch, random, rate=cosine(stage.progress, recipe.rate), temporal=recipe.frames is None,
            cap=recipe.cap, layout=recipe.layout, step=stage.step,
        )  # fmt: skip
        figures.append({**row, "threads": threads.adapt()})
        stage.step += 1
        if stage.step == 10 or stage.log_every(30):
            means = {name: sum(row[name] for row in figures) / len(figures) for name in figures[0]}
            stage.log(", ".join(f"{name} {value:.4f}" for name, value in means.items()))
            figures.clear()
        if stage.due():
            stage.save(**trainer.state())
        if check and recipe.check_every and stage.spent - checked >= recipe.check_every:
            checked = stage.spent
            check(trainer.average, stage)
    stage.save(**trainer.state())
    if check:
        check(trainer.average, stage)
    return trainer
