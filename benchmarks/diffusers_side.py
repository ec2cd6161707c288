"""The second baseline: diffusers' classes for the same architecture, with the same weights under its own names.

They are driven as its TextToVideoSDPipeline drives them: both prompts in one batch of two, its DDIMScheduler, all
frames decoded at once, the attention processors that it chooses by itself. The pipeline class wants transformers for
its text encoder, which takes no part in what is measured here, so the few lines of its __call__ are written out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel
from torch import Tensor

from benchmarks.stock import DDCONFIG, SCALE_FACTOR, to_levels
from generations.engine.modelscope.weights import AUTOENCODER_PREFIX

GUIDANCE = 9.0
# Of one ResBlock. What is called temopral_conv is a layer of its own there.
RES_BLOCK = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
    "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}  # fmt: skip
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


class DiffusersPipeline:
    """diffusers' networks, filled from a folder in ModelScope's format. Each part is loaded on first use."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.folder, self.device = folder, torch.device(device)
        # As its own half-precision checkpoint is used on a card.
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        self.document: dict[str, Any] = json.loads((folder / "configuration.json").read_text(encoding="utf-8"))
        self.files, self.sizes = (self.document["model"][name] for name in ("model_args", "model_cfg"))
        # The values of scheduler/scheduler_config.json beside its weights of this model.
        # Any, here and below: diffusers' decorators hide these classes from mypy.
        self.scheduler: Any = DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            set_alpha_to_one=False, steps_offset=1,
        )  # fmt: skip

    def load_unet(self) -> None:
        sizes = self.sizes
        widths = [sizes["unet_dim"] * factor for factor in sizes["unet_dim_mult"]]
        reads_text = [1 / 2**level in sizes["unet_attn_scales"] for level in range(len(widths))]
        down = ["CrossAttnDownBlock3D" if reads else "DownBlock3D" for reads in reads_text]
        up = ["CrossAttnUpBlock3D" if reads else "UpBlock3D" for reads in reversed(reads_text)]
        with torch.device("meta"):
            unet: Any = UNet3DConditionModel(
                down_block_types=tuple(down), up_block_types=tuple(up), block_out_channels=tuple(widths),
                layers_per_block=sizes["unet_res_blocks"], attention_head_dim=sizes["unet_head_dim"],
                cross_attention_dim=sizes["unet_context_dim"],
            )  # fmt: skip
        state = torch.load(self.folder / self.files["ckpt_unet"], weights_only=True)
        unet.load_state_dict(unet_state(state, sizes, reads_text), strict=True, assign=True)
        self.unet: Any = self._ready(unet)

    def load_autoencoder(self) -> None:
        config = {**DDCONFIG, **self.document.get("text_to_video_bot", {}).get("autoencoder", {})}
        widths = [config["ch"] * factor for factor in config["ch_mult"]]
        with torch.device("meta"):
            network: Any = AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * len(widths),
                up_block_types=("UpDecoderBlock2D",) * len(widths), block_out_channels=tuple(widths),
                layers_per_block=config["num_res_blocks"], latent_channels=4, sample_size=256,
                scaling_factor=SCALE_FACTOR,
            )  # fmt: skip
        # Pictures to latents: nothing here needs it.
        del network.encoder, network.quant_conv
        state = torch.load(self.folder / self.files["ckpt_autoencoder"], weights_only=True)["state_dict"]
        network.load_state_dict(decoder_state(state, len(widths)), strict=True, assign=True)
        self.autoencoder: Any = self._ready(network)

    def _ready(self, network: Any) -> Any:
        network.eval().requires_grad_(False).to(self.device)
        # Asked for what is there already, it warns.
        return network if self.dtype == torch.float32 else network.to(self.dtype)

    @torch.no_grad()
    def guided_step(self, latents: Tensor, t: int, conditional: Tensor, unconditional: Tensor, steps: int) -> Tensor:
        """One turn of the pipeline's denoising loop."""
        self.scheduler.set_timesteps(steps)
        text = torch.cat([unconditional, conditional]).to(self.dtype)
        both = self.scheduler.scale_model_input(torch.cat([latents] * 2), t).to(self.dtype)
        noise = self.unet(both, t, encoder_hidden_states=text, return_dict=False)[0].float()
        without, with_text = noise.chunk(2)
        noise = without + GUIDANCE * (with_text - without)
        frames, noise = (x.permute(0, 2, 1, 3, 4).flatten(0, 1) for x in (latents, noise))
        frames = self.scheduler.step(noise, t, frames, eta=0.0).prev_sample
        return frames.unflatten(0, (len(latents), -1)).permute(0, 2, 1, 3, 4)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> npt.NDArray[np.uint8]:
        """Return frames (F, H, W, 3) from latents (1, 4, F, h, w): decode_latents and postprocess_video."""
        frames = (1 / SCALE_FACTOR * latents).permute(0, 2, 1, 3, 4).flatten(0, 1).to(self.dtype)
        return to_levels(self.autoencoder.decode(frames).sample)


# --- ModelScope's names to diffusers'


def unet_state(state: dict[str, Tensor], sizes: dict[str, Any], reads_text: list[bool]) -> dict[str, Tensor]:
    """Return UNetSD's state dict under UNet3DConditionModel's names. A module that has no place there is an error."""
    places = _unet_places(len(sizes["unet_dim_mult"]), sizes["unet_res_blocks"], reads_text)
    renamed = {}
    for name, value in state.items():
        # A projection that is written as a convolution with a kernel of 1 there, as a linear layer here.
        flat = value.flatten(1) if value.ndim == 3 else value
        renamed[_renamed(name, places)] = flat
    return renamed


def _unet_places(levels: int, res_blocks: int, reads_text: list[bool]) -> dict[str, str]:
    places = {
        "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in", "input_blocks.0.1": "transformer_in",
        "out.0": "conv_norm_out", "out.2": "conv_out",
        "middle_block.1": "mid_block.attentions.0", "middle_block.2": "mid_block.temp_attentions.0",
    }  # fmt: skip
    places |= _res_block("middle_block.0", "mid_block", 0) | _res_block("middle_block.3", "mid_block", 1)
    number = 1
    for level in range(levels):
        there = f"down_blocks.{level}"
        for layer in range(res_blocks):
            places |= _layer(f"input_blocks.{number}", there, layer, reads_text[level])
            number += 1
        if level < levels - 1:
            places[f"input_blocks.{number}.op"] = f"{there}.downsamplers.0.conv"
            number += 1
    number = 0
    for level in range(levels):
        there, reads = f"up_blocks.{level}", reads_text[levels - 1 - level]
        for layer in range(res_blocks + 1):
            places |= _layer(f"output_blocks.{number}", there, layer, reads)
            if layer == res_blocks and level < levels - 1:
                places[f"output_blocks.{number}.{3 if reads else 1}.conv"] = f"{there}.upsamplers.0.conv"
            number += 1
    return places


def _layer(here: str, there: str, layer: int, reads_text: bool) -> dict[str, str]:
    places = _res_block(f"{here}.0", there, layer)
    if reads_text:
        places |= {f"{here}.1": f"{there}.attentions.{layer}", f"{here}.2": f"{there}.temp_attentions.{layer}"}
    return places


def _res_block(here: str, there: str, layer: int) -> dict[str, str]:
    places = {f"{here}.{name}": f"{there}.resnets.{layer}.{new}" for name, new in RES_BLOCK.items()}
    return {**places, f"{here}.temopral_conv": f"{there}.temp_convs.{layer}"}


def decoder_state(state: dict[str, Tensor], levels: int) -> dict[str, Tensor]:
    """Return the decoding half of ModelScope's autoencoder under the names of diffusers' AutoencoderKL."""
    places = {"post_quant_conv": "post_quant_conv", "decoder.conv_in": "decoder.conv_in"}
    places |= {"decoder.norm_out": "decoder.conv_norm_out", "decoder.conv_out": "decoder.conv_out"}
    places |= {f"decoder.mid.attn_1.{name}": f"decoder.mid_block.attentions.0.{new}" for name, new in ATTENTION.items()}
    places |= {f"decoder.mid.block_{number + 1}": f"decoder.mid_block.resnets.{number}" for number in range(2)}
    for level in range(levels):
        places[f"decoder.up.{level}.block"] = f"decoder.up_blocks.{levels - 1 - level}.resnets"
        places[f"decoder.up.{level}.upsample.conv"] = f"decoder.up_blocks.{levels - 1 - level}.upsamplers.0.conv"
    renamed = {}
    for name, value in state.items():
        plain = name.removeprefix(f"{AUTOENCODER_PREFIX}.")
        if plain.startswith(("decoder.", "post_quant_conv.")):
            # Its attention is made of linear layers, upstream's of convolutions with a kernel of 1.
            flat = value.flatten(1) if ".attn_1." in plain and value.ndim == 4 else value
            renamed[_renamed(plain, places).replace("nin_shortcut", "conv_shortcut")] = flat
    return renamed


def _renamed(name: str, places: dict[str, str]) -> str:
    prefix = name
    while prefix not in places:
        prefix, dot, _ = prefix.rpartition(".")
        if not dot:
            raise KeyError(f"diffusers has no place for {name}")
    return places[prefix] + name[len(prefix) :]
