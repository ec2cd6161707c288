"""The UNet's data: clips rendered, encoded once and kept in memory, each usable in both directions of time."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from training.upstream import LATENT_SCALE, Network
from training.world import COLOURS, FRAMES, REVERSED, SHAPES, Scene, path, random_scene, render

# left, up and shrink are these played backwards; a still clip is one frame repeated.
CACHED_MOTIONS = ("right", "down", "grow", "bounce", "still")


class Clips:
    """latents (n, 16, 4, 8, 8) as UNetSD sees them, paths (n, 16, 3) in pixels, and the scene of each row."""

    def __init__(self, latents: torch.Tensor, paths: torch.Tensor, scenes: list[Scene]) -> None:
        self.latents, self.paths, self.scenes = latents, paths, scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def clip(self, index: int, backwards: bool) -> tuple[torch.Tensor, torch.Tensor, Scene]:
        """Return (latents (16, 4, 8, 8), path (16, 3), scene) in one direction of time."""
        latents, places, scene = self.latents[index].float(), self.paths[index], self.scenes[index]
        if backwards:
            return latents.flip(0), places.flip(0), scene.reversed()
        return latents, places, scene

    def two_ways(self, index: int) -> bool:
        """Does the clip say something else when played backwards?"""
        return self.scenes[index].motion in REVERSED


def encode(autoencoder: Network, frames: torch.Tensor) -> torch.Tensor:
    """RGB (n, 3, 64, 64) in -1..1 -> latents (n, 4, 8, 8) on the UNet's scale."""
    with torch.no_grad():
        return torch.cat([autoencoder.encode(part).mode() for part in frames.split(32)]) * LATENT_SCALE


def decode(autoencoder: Network, latents: torch.Tensor) -> torch.Tensor:
    """Latents (n, 4, 8, 8) on the UNet's scale -> RGB (n, 3, 64, 64), clamped to -1..1."""
    with torch.no_grad():
        return torch.cat([autoencoder.decode(part) for part in (latents / LATENT_SCALE).split(32)]).clamp(-1, 1)


def make_clips(run: Path, autoencoder: Network, seed: int, per_kind: int) -> Clips:
    """Render and encode per_kind clips of every colour, shape and cached motion, or read them from the run folder."""
    stored = run / "latents.pt"
    random = torch.Generator().manual_seed(seed + 2)
    scenes = [
        random_scene(random, colour=colour, shape=shape, motion=motion)
        for _ in range(per_kind)
        for colour in COLOURS
        for shape in SHAPES
        for motion in CACHED_MOTIONS
    ]
    paths = torch.stack([path(scene) for scene in scenes])
    if stored.exists():
        saved = torch.load(stored, weights_only=True)
        if saved["scenes"] == [asdict(scene) for scene in scenes]:
            return Clips(saved["latents"], paths, scenes)
    latents = []
    for scene in scenes:
        if scene.motion == "still":
            latents.append(encode(autoencoder, render(scene, 1)).expand(FRAMES, -1, -1, -1))
        else:
            latents.append(encode(autoencoder, render(scene)))
    stacked = torch.stack(latents).half()
    torch.save({"latents": stacked, "scenes": [asdict(scene) for scene in scenes]}, stored)
    return Clips(stacked, paths, scenes)
