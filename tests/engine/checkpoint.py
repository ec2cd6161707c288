"""Writes a tiny model folder in ModelScope's own format, with upstream's own classes, for tests to load."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import open_clip.transformer
import torch
from torch import Tensor, nn

from generations.engine.modelscope.upstream import upstream_module

CLIP_FILE, UNET_FILE, AUTOENCODER_FILE = (
    "open_clip_pytorch_model.bin",
    "text2video_pytorch_model.pth",
    "VQGAN_autoencoder.pth",
)
DDCONFIG: dict[str, Any] = {
    "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3,
    "ch": 32, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0,
}  # fmt: skip
UNET: dict[str, Any] = {
    "in_dim": 4, "dim": 32, "y_dim": 768, "context_dim": 1024, "out_dim": 4, "dim_mult": [1, 2], "num_heads": 2,
    "head_dim": 32, "num_res_blocks": 1, "attn_scales": [1, 0.5], "dropout": 0.1, "temporal_attention": True,
}  # fmt: skip
TOWER: dict[str, Any] = {"width": 32, "heads": 2, "layers": 3, "project_tokens": True, "projection_dim": 1024}
VOCABULARY = 49408


def randomise(network: nn.Module, seed: int) -> nn.Module:
    """Draw every weight anew: as constructed, many of upstream's are zero and any bug would pass a parity test."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        fan_in = math.prod(parameter.shape[1:]) if parameter.ndim > 1 else 1
        # Gains and biases of normalisation stay around 1 and 0, so that signals neither vanish nor explode.
        mean = 1.0 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0.0
        scale = 0.1 if parameter.ndim == 1 else 1 / math.sqrt(fan_in)
        parameter.data = mean + scale * torch.randn(parameter.shape, generator=generator)
    return network.eval().requires_grad_(False)


def upstream_unet() -> nn.Module:
    network: nn.Module = upstream_module("unet_sd").UNetSD(**UNET)
    return network


def upstream_autoencoder() -> nn.Module:
    network: nn.Module = upstream_module("autoencoder").AutoencoderKL(DDCONFIG, 4)
    return network


def open_clip_text_tower() -> nn.Module:
    return open_clip.transformer.TextTransformer(
        context_length=77, vocab_size=VOCABULARY, width=32, heads=2, layers=3, output_dim=1024
    )


def configuration() -> dict[str, Any]:
    """ModelScope's configuration.json, with our key for the small networks."""
    named = {"res_blocks": "num_res_blocks"}
    sizes = ("in_dim", "dim", "y_dim", "context_dim", "out_dim", "dim_mult", "num_heads", "head_dim", "res_blocks")
    return {
        "framework": "pytorch",
        "task": "text-to-video-synthesis",
        "model": {
            "type": "latent-text-to-video-synthesis",
            "model_args": {
                "ckpt_clip": CLIP_FILE,
                "ckpt_unet": UNET_FILE,
                "ckpt_autoencoder": AUTOENCODER_FILE,
                "max_frames": 4,
                "tiny_gpu": 1,
            },
            "model_cfg": {
                **{f"unet_{size}": UNET[named.get(size, size)] for size in (*sizes, "attn_scales", "dropout")},
                "temporal_attention": "True",
                "num_timesteps": 1000,
                "mean_type": "eps",
                "var_type": "fixed_small",
                "loss_type": "mse",
            },
        },
        "pipeline": {"type": "latent-text-to-video-synthesis"},
        "text_to_video_bot": {
            "text_tower": TOWER,
            "autoencoder": DDCONFIG,
            "defaults": {"width": 64, "height": 64, "steps": 4},
        },
    }


def write_checkpoint(folder: Path) -> Path:
    """Write configuration.json and the three weight files; the same bytes of weights every time."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "configuration.json").write_text(json.dumps(configuration()))
    text = randomise(open_clip_text_tower(), 1).state_dict()
    # The visual tower and the temperature are in every CLIP file and none of our business.
    extra = {"visual.proj": torch.zeros(2, 2), "logit_scale": torch.tensor(4.6)}
    torch.save({**text, **extra}, folder / CLIP_FILE)
    torch.save(randomise(upstream_unet(), 2).state_dict(), folder / UNET_FILE)
    autoencoder = randomise(upstream_autoencoder(), 3).state_dict()
    named = {f"first_stage_model.{name}": value for name, value in autoencoder.items()}
    torch.save({"state_dict": named}, folder / AUTOENCODER_FILE)
    return folder


def edit_state(path: Path, **changes: Tensor | None) -> None:
    """Replace (or, with None, remove) tensors of a weight file; dots are written as double underscores."""
    document = torch.load(path, weights_only=True)
    state = document.get("state_dict", document)
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    torch.save(document, path)
