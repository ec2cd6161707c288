"""ModelScope's network classes, without the rest of ModelScope.

Importing `modelscope.models` pulls in packages that only its own pipelines need, so the three network files are loaded
by path. They need torch and einops only.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

# ModelScope's and open_clip's modules carry no types.
Network = Any


@cache
def network_file(name: str) -> ModuleType:
    """Return modelscope/models/multi_modal/video_synthesis/<name>.py as a module."""
    package = importlib.util.find_spec("modelscope")
    if package is None or package.origin is None:
        raise ImportError("The training needs the modelscope package (see requirements.txt).")
    path = Path(package.origin).parent / "models" / "multi_modal" / "video_synthesis" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"modelscope_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DDCONFIG: dict[str, Any] = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 64,
    "in_channels": 3,
    "out_ch": 3,
    # GroupNorm has 32 groups: with 32 channels it is an instance norm, which erases a flat colour. 64 keeps it.
    "ch": 64,
    "ch_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}

UNET_CONFIG: dict[str, Any] = {
    "in_dim": 4,
    "dim": 32,
    "y_dim": 768,
    "context_dim": 1024,
    "out_dim": 4,
    "dim_mult": [2, 3],
    "num_heads": 1,
    "head_dim": 32,
    "num_res_blocks": 1,
    "attn_scales": [0.5],
    "dropout": 0.1,
}

# ModelScope divides latents by this before decoding; our autoencoder is folded to fit it.
LATENT_SCALE = 0.18215


def build_autoencoder() -> Network:
    """AutoencoderKL: RGB (n, 3, 64, 64) in -1..1 <-> latents (n, 4, 8, 8)."""
    return network_file("autoencoder").AutoencoderKL(dict(DDCONFIG), 4)


def build_unet() -> Network:
    """UNetSD: latents (b, 4, f, h, w), t (b,), text (b, tokens, 1024) -> predicted noise, same shape as the latents."""
    return network_file("unet_sd").UNetSD(**UNET_CONFIG)


def device() -> torch.device:
    """Where the networks train: a GPU when there is one. Random numbers and captions always come from the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def short_floats() -> torch.autocast:
    """Context for bfloat16 on a GPU or a processor with units for it (AMX); elsewhere it is slower than float32."""
    kind = device().type
    return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda" or torch.cpu._is_amx_tile_supported())


def alphas_cumprod() -> torch.Tensor:
    """ModelScope's `linear_sd` schedule, (1000,), float64."""
    betas = torch.linspace(0.00085**0.5, 0.0120**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)
