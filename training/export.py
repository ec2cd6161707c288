"""python -m training.export: write the released folder, in ModelScope's layout, from a training run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from training.text import CONTEXT, TOWER, VOCABULARY, WIDTH, TextTower
from training.upstream import DDCONFIG, UNET_CONFIG
from training.world import RELEASED as RELEASED_WORLD
from training.world import World

RELEASED = Path(__file__).resolve().parents[1] / "generations" / "engine" / "demo_model"
MEGABYTE = 1024 * 1024
LIMIT_MB = 15

EXAMPLES = (
    "a red circle moving right",
    "a blue square growing on a white background",
    "a large yellow triangle bouncing on navy",
    "a small green circle falling down",
    "a pink square moving to the left on gray",
    "a white star getting smaller",
)
DOES = {
    "left": "moves left",
    "right": "moves right",
    "up": "moves up",
    "down": "moves down",
    "grow": "grows",
    "shrink": "shrinks",
    "spin": "spins",
    "bounce": "bounces",
    "still": "stands still",
}


def either(words: Sequence[str]) -> str:
    """("red", "blue", "green") -> "red, blue or green"."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def draws(world: World) -> str:
    """The sentence that tells people what to ask for."""
    ground = f"a {either(world.backgrounds)} background" if len(world.backgrounds) > 1 else world.backgrounds[0]
    sizes = f", {either(world.sizes)}," if len(world.sizes) > 1 else ""
    return (
        f"One flat shape on {ground}: a {either(world.shapes)}{sizes} in {either(world.colours)} that "
        f"{either([DOES[motion] for motion in world.motions])}. Nothing else."
    ).replace("moves left, moves right, moves up, moves down", "moves left, right, up or down")


def configuration(
    *, steps: int, guidance: float, frames: tuple[int, int] = (16, 16), world: World = RELEASED_WORLD
) -> dict[str, Any]:
    """configuration.json: ModelScope's own keys, and ours under "text_to_video_bot"."""
    return {
        "framework": "pytorch",
        "task": "text-to-video-synthesis",
        "model": {
            "type": "latent-text-to-video-synthesis",
            "model_args": {
                "ckpt_clip": "open_clip_pytorch_model.bin",
                "ckpt_unet": "text2video_pytorch_model.pth",
                "ckpt_autoencoder": "VQGAN_autoencoder.pth",
                "max_frames": 16,
                "tiny_gpu": 1,
            },
            "model_cfg": {
                # ModelScope's keys are UNetSD's arguments with a prefix; only num_res_blocks is unet_res_blocks.
                **{f"unet_{name.replace('num_res', 'res')}": value for name, value in UNET_CONFIG.items()},
                "temporal_attention": "True",
                "num_timesteps": 1000,
                "mean_type": "eps",
                "var_type": "fixed_small",
                "loss_type": "mse",
            },
        },
        "pipeline": {"type": "latent-text-to-video-synthesis"},
        "text_to_video_bot": {
            "name": "demo model: moving shapes",
            "licence": "MIT",
            "text_tower": {
                **TOWER,
                "context_length": CONTEXT,
                "vocab_size": VOCABULARY,
                "output_layer": "last",
                "project_tokens": True,
                "projection_dim": WIDTH,
            },
            "autoencoder": dict(DDCONFIG),
            "defaults": {
                "frames": 16,
                "width": 64,
                "height": 64,
                "fps": 8,
                "steps": steps,
                "guidance_scale": guidance,
            },
            "limits": {"frames": list(frames), "width": [64, 64], "height": [64, 64], "steps": [10, 50]},
            "upscale": 4,
            "draws": draws(world),
            "examples": list(EXAMPLES),
            # For training.score: what the prompts may ask of this model.
            "world": {name: list(words) for name, words in asdict(world).items()},
        },
    }


def half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone().half() for name, value in state.items()}


def average_state(run: Path) -> dict[str, torch.Tensor]:
    """The averaged UNet of the furthest stage there is."""
    for stage in ("clips", "images"):
        if (run / f"{stage}.pt").exists():
            return torch.load(run / f"{stage}.pt", map_location="cpu", weights_only=True)["average"]
    raise SystemExit(f"{run} holds no trained UNet yet.")


def export(run: Path, folder: Path, *, steps: int, guidance: float, frames: tuple[int, int] = (16, 16)) -> int:
    """Write configuration.json and the three weight files; return their size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    unet = half(average_state(run))
    autoencoder = torch.load(run / "autoencoder_folded.pt", map_location="cpu", weights_only=True)
    tower = TextTower()
    saved = torch.load(run / "text.pt", map_location="cpu", weights_only=True)["model"]
    tower.load_state_dict({name[2:]: value for name, value in saved.items() if name.startswith("0.")})
    text = half(tower.full_state())
    # 49408 rows of which all but some two hundred are zero: sparse, 0.1 MB instead of 12.6.
    text["token_embedding.weight"] = text["token_embedding.weight"].to_sparse().coalesce()
    files = {
        "text2video_pytorch_model.pth": unet,
        "VQGAN_autoencoder.pth": {
            "state_dict": {f"first_stage_model.{name}": value for name, value in half(autoencoder).items()}
        },
        "open_clip_pytorch_model.bin": text,
    }
    for name, state in files.items():
        torch.save(state, folder / name)
    world = World(**{name: tuple(words) for name, words in json.loads((run / "world.json").read_text()).items()})
    described = configuration(steps=steps, guidance=guidance, frames=frames, world=world)
    text_file = json.dumps(described, indent=2) + "\n"
    (folder / "configuration.json").write_text(text_file, encoding="utf-8")
    return sum((folder / name).stat().st_size for name in [*files, "configuration.json"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--to", type=Path, default=RELEASED)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    arguments = parser.parse_args()
    size = export(arguments.run, arguments.to, steps=arguments.steps, guidance=arguments.guidance)
    print(f"{arguments.to}: {size / MEGABYTE:.2f} MB")
    if size > LIMIT_MB * MEGABYTE:
        raise SystemExit(f"more than {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
