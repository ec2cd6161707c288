"""Reads configuration.json of a model folder: ModelScope's own keys, and our optional key "text_to_video_bot".

{"text_to_video_bot": {"text_tower": {...}, "autoencoder": {...}}} describes a smaller text tower (see TextTowerConfig)
and another ddconfig of the autoencoder. ModelScope's own folder has no such key and gets upstream's literals.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from generations.engine.base import CheckpointError
from generations.engine.card import LATENT_STRIDE

LATENT_CHANNELS = 4
# UNetSD has this width written into its decoder, so every text tower must end in it.
CONTEXT_DIM = 1024
# The tokenizer's merges and special tokens; a smaller table would be indexed out of range by ordinary words.
CLIP_VOCABULARY = 49408

# Literals of TextToVideoSynthesis.__init__ upstream.
AUTOENCODER_DDCONFIG: dict[str, Any] = {
    "double_z": True,
    "z_channels": LATENT_CHANNELS,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}

# model_cfg key -> argument of UNetSD, as upstream passes them.
UNET_ARGUMENTS = {
    "unet_in_dim": "in_dim",
    "unet_dim": "dim",
    "unet_y_dim": "y_dim",
    "unet_context_dim": "context_dim",
    "unet_out_dim": "out_dim",
    "unet_dim_mult": "dim_mult",
    "unet_num_heads": "num_heads",
    "unet_head_dim": "head_dim",
    "unet_res_blocks": "num_res_blocks",
    "unet_attn_scales": "attn_scales",
    "unet_dropout": "dropout",
}


@dataclass(frozen=True)
class TextTowerConfig:
    """open_clip's ViT-H-14 text tower by default. output_layer: "penultimate" (upstream) or "last".

    project_tokens multiplies every token's features by text_projection (width x projection_dim) after ln_final.
    """

    width: int = 1024
    heads: int = 16
    layers: int = 24
    context_length: int = 77
    vocab_size: int = CLIP_VOCABULARY
    output_layer: str = "penultimate"
    project_tokens: bool = False
    projection_dim: int = CONTEXT_DIM

    @property
    def output_width(self) -> int:
        return self.projection_dim if self.project_tokens else self.width


@dataclass(frozen=True)
class Configuration:
    """What to build and which files fill it. Defaults are upstream's file names."""

    clip_file: str = "open_clip_pytorch_model.bin"
    unet_file: str = "text2video_pytorch_model.pth"
    autoencoder_file: str = "VQGAN_autoencoder.pth"
    unet: dict[str, Any] = field(default_factory=dict)
    autoencoder: dict[str, Any] = field(default_factory=lambda: dict(AUTOENCODER_DDCONFIG))
    text: TextTowerConfig = TextTowerConfig()
    num_timesteps: int = 1000


def read_configuration(folder: Path) -> Configuration:
    """Return the folder's configuration; raises CheckpointError with every fault of configuration.json at once."""
    path = folder / "configuration.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        model_args, model_cfg = document["model"]["model_args"], document["model"]["model_cfg"]
        extension = document.get("text_to_video_bot", {})
        tower, ddconfig = dict(extension.get("text_tower", {})), dict(extension.get("autoencoder", {}))
        files = {name: str(model_args[f"ckpt_{name}"]) for name in ("clip", "unet", "autoencoder")}
        absent = [key for key in [*UNET_ARGUMENTS, "temporal_attention"] if key not in model_cfg]
    except FileNotFoundError:
        raise CheckpointError([f"{path}: missing"]) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError([f"{path}: not a readable ModelScope configuration ({error!r})"]) from error

    problems = [f"{path}: model.model_cfg lacks {key}" for key in absent]
    problems += [f"{path}: text_tower has no setting called {name}" for name in _unknown(tower)]
    if problems:
        raise CheckpointError(problems)

    unet = {argument: model_cfg[key] for key, argument in UNET_ARGUMENTS.items()}
    # Upstream stores a string and compares it with "True".
    unet["temporal_attention"] = str(model_cfg["temporal_attention"]) == "True"
    configuration = Configuration(
        clip_file=files["clip"],
        unet_file=files["unet"],
        autoencoder_file=files["autoencoder"],
        unet=unet,
        autoencoder={**AUTOENCODER_DDCONFIG, **ddconfig},
        text=TextTowerConfig(**tower),
        num_timesteps=model_cfg.get("num_timesteps", 1000),
    )
    problems = [f"{path}: {fault}" for fault in _faults(configuration, model_cfg)]
    if problems:
        raise CheckpointError(problems)
    return configuration


def _unknown(tower: dict[str, Any]) -> list[str]:
    return sorted(set(tower) - {entry.name for entry in fields(TextTowerConfig)})


def _faults(configuration: Configuration, model_cfg: dict[str, Any]) -> list[str]:
    """Return what would crash or be silently wrong later, in words."""
    text, unet, faults = configuration.text, configuration.unet, []
    for name in ("width", "heads", "layers", "context_length", "vocab_size", "projection_dim"):
        value = getattr(text, name)
        if type(value) is not int or value < 1:
            faults.append(f"text_tower.{name} must be a positive whole number, not {value!r}")
    if text.output_layer not in ("penultimate", "last"):
        faults.append(f'text_tower.output_layer must be "penultimate" or "last", not {text.output_layer!r}')
    if faults:
        return faults
    if text.width % text.heads:
        faults.append(f"text_tower.width {text.width} is not a multiple of its {text.heads} heads")
    if text.vocab_size < CLIP_VOCABULARY:
        faults.append(f"text_tower.vocab_size is {text.vocab_size}; the tokenizer needs {CLIP_VOCABULARY}")
    if text.context_length < 3:
        faults.append(f"text_tower.context_length {text.context_length} leaves no room for a word")
    if not text.output_width == unet["context_dim"] == CONTEXT_DIM:
        faults.append(
            f"text features are {text.output_width} wide and unet_context_dim is {unet['context_dim']}; "
            f"both must be {CONTEXT_DIM}, the width written into UNetSD's decoder"
        )
    for name in ("in_dim", "out_dim"):
        if unet[name] != LATENT_CHANNELS:
            faults.append(f"unet_{name} is {unet[name]}; the latents have {LATENT_CHANNELS} channels")
    # The sampler is written for ModelScope's own diffusion settings; others would give noise without an error.
    if model_cfg.get("mean_type", "eps") != "eps":
        faults.append(f"mean_type {model_cfg['mean_type']!r} is not supported, only 'eps'")
    if not str(model_cfg.get("var_type", "fixed_small")).startswith("fixed"):
        faults.append(f"var_type {model_cfg['var_type']!r} is not supported, only 'fixed_small' and 'fixed_large'")
    if type(configuration.num_timesteps) is not int or configuration.num_timesteps < 100:
        faults.append(f"num_timesteps must be a whole number of at least 100, not {configuration.num_timesteps!r}")
    levels = len(configuration.autoencoder["ch_mult"])
    if 2 ** (levels - 1) != LATENT_STRIDE:
        faults.append(
            f"autoencoder.ch_mult has {levels} levels; latents are 1/{LATENT_STRIDE} of a side, so 4 are needed"
        )
    if configuration.autoencoder["z_channels"] != LATENT_CHANNELS or not configuration.autoencoder["double_z"]:
        faults.append(f"autoencoder must have z_channels {LATENT_CHANNELS} and double_z true")
    return faults
