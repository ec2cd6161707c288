"""The UNet's data: clips rendered, encoded once and kept in memory, each usable in both directions of time."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch

from training.upstream import LATENT_SCALE, Network, short_floats
from training.world import FRAMES, FULL, UNSEEN_PAIRS, Scene, World, path, possible, random_scene, render

# How often each kind of cached clip is drawn. left, up and shrink are right, down and grow played backwards, and a
# spinning clip's first frame is a still clip: two motions each, where bouncing and still are one.
CACHED_MOTIONS = {"right": 1.0, "down": 1.0, "grow": 1.0, "spin": 1.3, "bounce": 0.6, "still": 0.4}


class Clips:
    """latents (n, 16, 4, 8, 8) as UNetSD sees them, paths (n, 16, 4) as world.path has them, and each row's scene."""

    def __init__(self, latents: torch.Tensor, paths: torch.Tensor, scenes: list[Scene]) -> None:
        self.latents, self.paths, self.scenes = latents, paths, scenes
        self._share = torch.tensor([CACHED_MOTIONS[scene.motion] for scene in scenes]).cumsum(dim=0)

    def __len__(self) -> int:
        return len(self.scenes)

    def draw(self, random: torch.Generator) -> int:
        """The index of a random clip, motions weighted by CACHED_MOTIONS."""
        return int(torch.searchsorted(self._share, torch.rand((), generator=random) * self._share[-1]))

    def clip(self, index: int, backwards: bool) -> tuple[torch.Tensor, torch.Tensor, Scene]:
        """Return (latents (16, 4, 8, 8), path (16, 4), scene) in one direction of time.

        A spinning clip has no other direction: its other side is its first frame, standing still.
        """
        latents, places, scene = self.latents[index].float(), self.paths[index], self.scenes[index]
        if backwards and scene.motion == "spin":
            return latents[:1].expand_as(latents), places[:1].expand_as(places), replace(scene, motion="still")
        if backwards:
            return latents.flip(0), places.flip(0), scene.reversed()
        return latents, places, scene


def encode(autoencoder: Network, frames: torch.Tensor) -> torch.Tensor:
    """RGB (n, 3, 64, 64) in -1..1 -> latents (n, 4, 8, 8) on the UNet's scale, on the CPU."""
    device = next(autoencoder.parameters()).device
    with torch.no_grad(), short_floats():
        parts = [autoencoder.encode(part.to(device)).mode().float().cpu() for part in frames.split(32)]
    return torch.cat(parts) * LATENT_SCALE


def decode(autoencoder: Network, latents: torch.Tensor) -> torch.Tensor:
    """Latents (n, 4, 8, 8) on the UNet's scale -> RGB (n, 3, 64, 64), clamped to -1..1, on the CPU."""
    device = next(autoencoder.parameters()).device
    parts = (latents / LATENT_SCALE).split(32)
    with torch.no_grad():
        return torch.cat([autoencoder.decode(part.to(device)).cpu() for part in parts]).clamp(-1, 1)


def make_clips(run: Path, autoencoder: Network, seed: int, per_kind: int, world: World = FULL) -> Clips:
    """Render and encode per_kind clips of every colour, shape, background and cached motion that can be seen.

    UNSEEN_PAIRS are left out. A second call reads what the first one left in the run folder.
    """
    stored = run / "latents.pt"
    random = torch.Generator().manual_seed(seed + 2)
    scenes = [
        random_scene(random, world, colour=colour, shape=shape, motion=motion, background=background)
        for _ in range(per_kind)
        for colour in world.colours
        for shape in world.shapes
        for background in world.backgrounds
        for motion in CACHED_MOTIONS
        if motion in world.motions
        and possible(colour, shape, motion, background)
        and (colour, shape) not in UNSEEN_PAIRS
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
