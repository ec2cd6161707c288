"""python -m training.export: write the released folder, in ModelScope's layout, from a training run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from training.text import CONTEXT, TOWER, VOCABULARY, WIDTH, TextTower
from training.upstream import DDCONFIG, UNET_CONFIG

RELEASED = Path(__file__).resolve().parents[1] / "generations" / "engine" / "demo_model"
MEGABYTE = 1024 * 1024
LIMIT_MB = 15

DRAWS = (
    "One flat shape on black: a circle, square or triangle in red, orange, yellow, green, blue or purple that moves "
    "left, right, up or down, grows, shrinks, bounces or stands still. Nothing else."
)
EXAMPLES = (
    "a red circle moving right",
    "a blue square growing",
    "a yellow triangle bouncing",
    "a green circle falling down",
    "a purple square moving to the left",
    "an orange triangle getting smaller",
)


def configuration(*, steps: int, guidance: float, frames: tuple[int, int] = (16, 16)) -> dict[str, Any]:
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
            "draws": DRAWS,
            "examples": list(EXAMPLES),
        },
    }


def half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone().half() for name, value in state.items()}


def average_state(run: Path) -> dict[str, torch.Tensor]:
    """The averaged UNet of the furthest stage there is."""
    for stage in ("clips", "images"):
        if (run / f"{stage}.pt").exists():
            return torch.load(run / f"{stage}.pt", weights_only=True)["average"]
    raise SystemExit(f"{run} holds no trained UNet yet.")


def export(run: Path, folder: Path, *, steps: int, guidance: float, frames: tuple[int, int] = (16, 16)) -> int:
    """Write configuration.json and the three weight files; return their size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    unet = half(average_state(run))
    autoencoder = torch.load(run / "autoencoder_folded.pt", weights_only=True)
    tower = TextTower()
    saved = torch.load(run / "text.pt", weights_only=True)["model"]
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
    text_file = json.dumps(configuration(steps=steps, guidance=guidance, frames=frames), indent=2) + "\n"
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
