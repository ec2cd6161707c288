"""Few-step LoRAs for ModelScope's UNet: files of PEFT for diffusers' UNet3DConditionModel, merged into our weights.

A LoRA adds scale x B A to a layer's weight: A is lora_A (rank, in, ...), B is lora_B (out, rank, ...), scale is
lora_alpha over the rank (Hu et al. 2021, https://arxiv.org/abs/2106.09685). MCM (https://github.com/yhZhai/mcm)
publishes this format: a folder with adapter_model.safetensors and adapter_config.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from generations.engine.base import CheckpointError
from generations.engine.modelscope.operations import use_channels_last
from generations.engine.modelscope.unet import UNet, build_unet

WEIGHTS, CONFIGURATION = "adapter_model.safetensors", "adapter_config.json"
# As PEFT names them: base_model.model.<layer>.lora_A.weight, or with an adapter's name before "weight".
KEY = re.compile(r"^(?:base_model\.model\.)?(?P<layer>.+)\.lora_(?P<part>[AB])(?:\.[^.]+)?\.weight$")
MOST_RANK = 1024

# Parts of a block: diffusers' name, UNetSD's name.
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "transformer_in": "input_blocks.0.1",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def layer_names(levels: int, blocks_per_level: int, with_attention: Sequence[bool]) -> dict[str, str]:
    """Return diffusers' name -> UNetSD's name of every part of the network that holds layers; longer names begin so.

    levels: of resolution; with_attention: per level, the finest first.
    """

    def block(theirs: str, number: int, ours: str, attention: bool) -> Iterator[tuple[str, str]]:
        for part, name in RESNET.items():
            yield f"{theirs}.resnets.{number}.{part}", f"{ours}.0.{name}"
        yield f"{theirs}.temp_convs.{number}", f"{ours}.0.temopral_conv"
        if attention:
            yield f"{theirs}.attentions.{number}", f"{ours}.1"
            yield f"{theirs}.temp_attentions.{number}", f"{ours}.2"

    names = dict(ENDS)
    place = 1
    for level, attention in enumerate(with_attention):
        for number in range(blocks_per_level):
            names.update(block(f"down_blocks.{level}", number, f"input_blocks.{place}", attention))
            place += 1
        if level < levels - 1:
            names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{place}.op"
            place += 1
    place = 0
    for level, attention in enumerate(reversed(with_attention)):
        for number in range(blocks_per_level + 1):
            names.update(block(f"up_blocks.{level}", number, f"output_blocks.{place}", attention))
            place += 1
        if level < levels - 1:
            names[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{place - 1}.{3 if attention else 1}.conv"
    for number, ours in enumerate((0, 3)):
        for part, name in RESNET.items():
            names[f"mid_block.resnets.{number}.{part}"] = f"middle_block.{ours}.{name}"
        names[f"mid_block.temp_convs.{number}"] = f"middle_block.{ours}.temopral_conv"
    names["mid_block.attentions.0"], names["mid_block.temp_attentions.0"] = "middle_block.1", "middle_block.2"
    return names


def read_lora(path: Path, weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the weights that a LoRA changes, merged: our name -> weight + scale x B A, in its dtype, on its device.

    path: a folder with PEFT's two files, or its adapter_model.safetensors. weights: the network's own; names:
    layer_names(). Raises CheckpointError with one line for a file that is missing, of another format, or made for
    another network.
    """
    file = path / WEIGHTS if path.is_dir() else path
    pairs, scale = _pairs(file), _scale(file.with_name(CONFIGURATION))
    prefixes = sorted(names, key=len, reverse=True)
    merged = {}
    for layer, pair in pairs.items():
        prefix = next((name for name in prefixes if layer == name or layer.startswith(f"{name}.")), None)
        ours = f"{names[prefix]}{layer[len(prefix) :]}.weight" if prefix else layer
        if ours not in weights:
            raise CheckpointError([f"{file}: {layer} is no layer of this model's UNet"])
        down, up = pair.get("A"), pair.get("B")
        if down is None or up is None:
            raise CheckpointError([f"{file}: {layer} has only one of lora_A and lora_B"])
        merged[ours] = _merged(weights[ours], down, up, scale, f"{file}: {layer}")
    return merged


def with_lora(unet: nn.Module, arguments: Mapping[str, Any], path: Path) -> UNet:
    """Return a second UNet with the LoRA merged; what the LoRA leaves alone is shared with the first.

    arguments: those the first was built from. Raises CheckpointError as read_lora.
    """
    with_attention = [0.5**level in arguments["attn_scales"] for level in range(len(arguments["dim_mult"]))]
    names = layer_names(len(with_attention), arguments["num_res_blocks"], with_attention)
    weights = unet.state_dict()
    with torch.device("meta"):
        second = build_unet(dict(arguments))
    second.load_state_dict({**weights, **read_lora(path, weights, names)}, strict=True, assign=True)
    use_channels_last(second)
    return second.requires_grad_(False).eval()


def _merged(weight: Tensor, down: Tensor, up: Tensor, scale: float, where: str) -> Tensor:
    shape = tuple(weight.shape)
    rank = len(down)
    # A of a convolution has its kernel, B none; temporal projections are linear there and convolutions of width 1 here.
    fits = rank <= MOST_RANK and up.shape[:2] == (shape[0], rank) and down[0].numel() == weight[0].numel()
    if not fits or up[0, 0].numel() != 1 or down.shape[1] != shape[1]:
        found = f"{tuple(up.shape)} x {tuple(down.shape)}"
        raise CheckpointError([f"{where} is {found}, which does not fit a weight of {shape}"])
    change = up.flatten(1).float() @ down.flatten(1).float() * scale
    if not torch.isfinite(change).all():
        raise CheckpointError([f"{where} is not finite"])
    return weight + change.reshape(shape).to(device=weight.device, dtype=weight.dtype)


def _pairs(file: Path) -> dict[str, dict[str, Tensor]]:
    """Return layer -> {"A": ..., "B": ...}."""
    try:
        state = load_file(file)
    except FileNotFoundError:
        raise CheckpointError([f"{file}: missing"]) from None
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError([f"{file}: not a safetensors file of a PEFT LoRA ({error})"]) from error
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        found = KEY.match(key)
        if not found:
            raise CheckpointError([f"{file}: {key} is not a name of a PEFT LoRA"])
        if value.ndim < 2 or not value.numel() or not value.is_floating_point():
            raise CheckpointError([f"{file}: {key} is not a matrix of floating-point numbers"])
        pairs.setdefault(found["layer"], {})[found["part"]] = value
    if not pairs:
        raise CheckpointError([f"{file}: holds no tensors"])
    return pairs


def _scale(file: Path) -> float:
    """Return lora_alpha over the rank, as PEFT's configuration states them."""
    try:
        configuration: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        odd = [name for name in ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern") if configuration.get(name)]
        scale = float(configuration["lora_alpha"]) / int(configuration["r"])
    except FileNotFoundError:
        raise CheckpointError([f"{file}: missing"]) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise CheckpointError([f"{file}: not a readable PEFT configuration ({error!r})"]) from error
    if odd:
        raise CheckpointError([f"{file}: {odd[0]} is a kind of LoRA that is not supported"])
    return scale
