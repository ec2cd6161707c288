"""Stages 3 and 4: UNetSD on single frames (colour and shape), then on clips (motion)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from training.captions import caption
from training.clips import Clips
from training.fast_unet import FastUNet, is_temporal, without_dropout
from training.progress import Stage, cosine, set_rate
from training.text import TextTower, tokens, with_unknown_words
from training.threads import Threads
from training.upstream import UNET_CONFIG, Network, alphas_cumprod, build_unet, device, short_floats
from training.world import BACKGROUNDS, COLOURS, SHAPES, SIDE

# Drops the caption in that share of examples, which teaches the unconditional half of guidance.
EMPTY_SHARE = 0.1
# A share of the inputs is pure noise at a time step from here on, as at the first step of sampling. Real inputs still
# carry 7 % of the picture there, and the network would learn to read colour and direction from it, not from the text.
PURE_FROM = 900
EMA = 0.998


@dataclass
class Batch:
    """x0 (b, 4, f, 8, 8), paths (b, f, 4), text (b, 77, 1024), looks (b, 3): colour, shape and background."""

    x0: torch.Tensor
    paths: torch.Tensor
    text: torch.Tensor
    looks: torch.Tensor
    twins: int = 1


def make_batch(
    clips: Clips, tower: TextTower, random: torch.Generator, count: int, frames: int | None, *, twins: bool
) -> Batch:
    """Draw clips with fresh captions. frames: that many random frames of each. twins: both directions of each clip."""
    latents: list[torch.Tensor] = []
    paths: list[torch.Tensor] = []
    texts: list[str] = []
    looks: list[tuple[int, int, int]] = []
    while len(latents) < count:
        index = clips.draw(random)
        backwards = bool(torch.rand((), generator=random) < 0.5)
        for direction in (backwards, not backwards) if twins else (backwards,):
            x0, places, scene = clips.clip(index, direction)
            if frames is not None:
                chosen = torch.randint(len(x0), (frames,), generator=random)
                x0, places = x0[chosen], places[chosen]
            latents.append(x0)
            paths.append(places)
            looks.append(
                (
                    list(COLOURS).index(scene.colour),
                    SHAPES.index(scene.shape),
                    list(BACKGROUNDS).index(scene.background),
                )
            )
            empty = bool(torch.rand((), generator=random) < EMPTY_SHARE)
            texts.append("" if empty else caption(scene, random, omit=0.05).text)
    ids = with_unknown_words(tokens(texts), random).to(device())
    with torch.no_grad(), short_floats():
        text = tower(ids).float()
    x0s = torch.stack(latents).transpose(1, 2).to(device())
    return Batch(x0s, torch.stack(paths).to(device()), text, torch.tensor(looks, device=device()), 2 if twins else 1)


def random_times(count: int, random: torch.Generator) -> torch.Tensor:
    """(count,) time steps, stratified; half of them from the noisier half, where place and direction are decided."""
    u = (torch.arange(count) + torch.rand(count, generator=random)) / count
    t = torch.where(u < 0.5, u * 2000, 500 + (u - 0.5) * 1000)
    return t.long().clamp(0, 999)[torch.randperm(count, generator=random)]


def loss_weight(alpha: torch.Tensor, cap: float) -> torch.Tensor:
    """Weight of the noise error per example: an error in noise counts in the picture as 1 / alpha, up to a cap."""
    return (1 / alpha).clamp(max=cap) / 5


@dataclass(frozen=True)
class Recipe:
    """What differs between the two stages."""

    name: str
    batch: int
    # Random frames per clip, or None for whole clips through the temporal blocks.
    frames: int | None
    rate: float
    # Highest weight of a noise level, see loss_weight.
    cap: float
    # Share of the batch that starts from pure noise.
    pure: float
    # Spread of a constant added to each clip's and channel's noise.
    offset: float = 0
    # Weights of the reading heads' losses.
    layout: float = 0
    clock: float = 0
    looks: float = 0
    temporal_scale: float = 1.0
    seed_offset: int = 0
    # Seconds between sampling checks; 0: none.
    check_every: float = 0


OFFSET = 0.1
IMAGES = Recipe("images", batch=32, frames=4, rate=1.5e-3, cap=16, pure=0.0625, offset=OFFSET, seed_offset=10)
CLIPS = Recipe(
    "clips", batch=16, frames=None, rate=8e-4, cap=32, pure=0.125, offset=OFFSET, layout=1.0, clock=0.5, looks=0.2,
    temporal_scale=1.5, seed_offset=20, check_every=600,
)  # fmt: skip


LOOKS = (len(COLOURS), len(SHAPES), len(BACKGROUNDS))


class Heads(nn.Module):
    """Reads the network from inside, only while it trains; gives place and time a gradient of their own.

    layout: every frame's place, size and turn, from the middle. From pure noise, that takes the text and the time.
    clock: where in the clip a frame is, from the encoder and the middle. UNetSD has no code for a frame's position; it
    must find it from the clip's ends, and direction cannot be learnt before that.
    looks: every frame's colour, shape and background, from the middle. The text is the same for all frames; without
    this, the noise of single frames decided, and a blue square turned green for a moment.
    """

    def __init__(self) -> None:
        super().__init__()
        width = UNET_CONFIG["dim"] * UNET_CONFIG["dim_mult"][-1]
        self.layout = nn.Sequential(nn.Flatten(1), nn.LayerNorm(width * 16), nn.Linear(width * 16, 4))
        self.looks = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sum(LOOKS)))
        self.clocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2)) for _ in range(2))

    def forward(
        self, features: tuple[torch.Tensor, torch.Tensor], paths: torch.Tensor, looks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """features 2 x (b * f, 96, 4, 4), paths (b, f, 4), looks (b, 3) -> (layout losses (b,), clock, looks)."""
        b, frames, _ = paths.shape
        usual, spread = paths.new_tensor([SIDE / 2, SIDE / 2, 11, 0]), paths.new_tensor([8, 8, 8, 1])
        places = (paths - usual) / spread
        read = self.layout(features[1].float()).view(b, frames, 4)
        layout = F.smooth_l1_loss(read, places, reduction="none").mean(dim=(1, 2))
        u = torch.linspace(-1, 1, frames, device=paths.device)
        time = torch.stack([u, torch.cos(2 * torch.pi * u)], dim=1).repeat(b, 1)
        clock = paths.new_zeros(())
        for head, feature in zip(self.clocks, features, strict=True):
            clock = clock + F.mse_loss(head(feature.float().mean(dim=(2, 3))), time) / 2
        said = self.looks(features[1].float().mean(dim=(2, 3)))
        wanted = looks.repeat_interleave(frames, dim=0)
        look = paths.new_zeros(())
        for column, scores in enumerate(said.split(LOOKS, dim=1)):
            look = look + F.cross_entropy(scores, wanted[:, column])
        return layout, clock, look


class Trainer:
    """Network, averaged copy, optimiser and the reading heads; knows one training step."""

    def __init__(self, seed: int, *, temporal_scale: float) -> None:
        torch.manual_seed(seed + 3)
        self.unet = without_dropout(build_unet()).to(device())
        self.fast = FastUNet(self.unet)
        self.average = copy.deepcopy(self.unet).eval().requires_grad_(False)
        self.heads = Heads().to(device())
        named = list(self.unet.named_parameters())
        temporal = [p for name, p in named if is_temporal(name, self.unet)]
        spatial = [p for name, p in named if not is_temporal(name, self.unet)]
        heads = [*self.heads.layout.parameters(), *self.heads.clocks.parameters()]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": spatial + heads, "scale": 1.0},
                {"params": temporal, "scale": temporal_scale},
                {"params": list(self.heads.looks.parameters()), "scale": 1.0},
            ],
            lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True,
        )  # fmt: skip
        self.alphas = alphas_cumprod().float().to(device())

    def step(
        self, batch: Batch, random: torch.Generator, recipe: Recipe, *, rate: float, step: int
    ) -> dict[str, float]:
        """One optimiser step; returns the figures worth logging."""
        set_rate(self.optimiser, rate)
        temporal = recipe.frames is None
        b, twins = len(batch.x0), batch.twins
        # Twins share noise and noise level: only the caption tells the two directions apart.
        t = random_times(b // twins, random)
        pure = torch.arange(b // twins) < round(recipe.pure * b / twins)
        t = torch.where(pure, torch.randint(PURE_FROM, 1000, t.shape, generator=random), t).repeat_interleave(twins)
        t, pure = t.to(device()), pure.repeat_interleave(twins).to(device())
        noise = torch.randn(batch.x0[::twins].shape, generator=random)
        # The mean of plain noise is so small that the background's shows through even at the last time step.
        noise = noise + recipe.offset * torch.randn(*noise.shape[:2], 1, 1, 1, generator=random)
        noise = noise.repeat_interleave(twins, dim=0).to(device())
        alpha = self.alphas[t].view(b, 1, 1, 1, 1)
        blind = pure.view(b, 1, 1, 1, 1)
        x = torch.where(blind, noise, alpha.sqrt() * batch.x0 + (1 - alpha).sqrt() * noise)
        wanted = torch.where(blind, (noise - alpha.sqrt() * batch.x0) / (1 - alpha).sqrt(), noise)
        with short_floats():
            predicted, features = self.fast(x, t, batch.text, temporal)
        error = (predicted - wanted).square().mean(dim=(1, 2, 3, 4))
        loss = noise_loss = (loss_weight(self.alphas[t], recipe.cap) * error).mean()
        layout, clock, look = self.heads(features, batch.paths, batch.looks)
        if temporal:
            loss = loss + recipe.layout * layout.mean() + recipe.clock * clock + recipe.looks * look
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimiser.step()
        decay = min(EMA, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.unet.parameters()), 1 - decay)
        error, layout = error.detach(), layout.detach()
        return {
            "loss": float(noise_loss.detach()),
            "error": float(error[~pure].mean()),
            "pure": float(error[pure].mean()),
            "layout": float(layout[~pure].mean()),
            "pure layout": float(layout[pure].mean()),
            "clock": float(clock.detach()),
            "looks": float(look.detach()),
        }

    def state(self) -> dict[str, object]:
        return {
            "unet": self.unet.state_dict(),
            "average": self.average.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint of the same stage."""
        self.unet.load_state_dict(state["unet"])
        self.average.load_state_dict(state["average"])
        self.heads.load_state_dict(state["heads"])
        scales = [group["scale"] for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state["optimiser"])
        for group, scale in zip(self.optimiser.param_groups, scales, strict=True):
            group["scale"] = scale

    def start_from(self, weights: dict[str, torch.Tensor]) -> None:
        """Begin a stage from the end of another: from its averaged weights, which are the better ones."""
        self.unet.load_state_dict(weights)
        self.average.load_state_dict(weights)


def train_unet(
    run: Path,
    seed: int,
    seconds: float,
    recipe: Recipe,
    clips: Clips,
    tower: TextTower,
    *,
    start: dict[str, torch.Tensor] | None = None,
    check: Callable[[Network, Stage], None] | None = None,
) -> None:
    """Train or resume one stage. start: the averaged weights of another stage or of a released model.

    check gets the averaged UNet from time to time, and at the end.
    """
    trainer = Trainer(seed, temporal_scale=recipe.temporal_scale)
    stage = Stage(run, recipe.name, seconds, save_every=120)
    state = stage.load()
    if state and stage.progress >= 1:
        return
    if state:
        trainer.load(state)
    elif start:
        trainer.start_from(start)
    random = torch.Generator().manual_seed((seed * 1_000 + recipe.seed_offset) * 1_000_000 + stage.step)
    figures: list[dict[str, float]] = []
    checked = stage.spent
    threads = Threads(torch.get_num_threads())
    while stage.progress < 1:
        batch = make_batch(clips, tower, random, recipe.batch, recipe.frames, twins=recipe.frames is None)
        row = trainer.step(batch, random, recipe, rate=cosine(stage.progress, recipe.rate), step=stage.step)
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
