"""The baseline: ModelScope 1.40.2's own classes, driven as its own pipeline drives them.

Its pipeline cannot run on current packages, so the few lines between its classes are written out here. They do what
TextToVideoSynthesis.__init__ and forward do, in the same order and with the same waste: two passes a step, every prompt
encoded anew, all frames decoded at once. Two of its faults are mended, or nothing could be measured: tokens go to the
device of the weights, and the text transformer is given its batch first, as open_clip has wanted it since 2.26.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import open_clip.transformer
import torch
from torch import Tensor, nn

from generations.engine.modelscope.upstream import upstream_module

SCALE_FACTOR = 0.18215
DDCONFIG = {
    "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
    "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
}  # fmt: skip


class StockPipeline:
    """ModelScope's networks from a folder of its format. Each part is loaded on first use."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.folder, self.device = folder, torch.device(device)
        self.document: dict[str, Any] = json.loads((folder / "configuration.json").read_text(encoding="utf-8"))
        self.files = self.document["model"]["model_args"]
        self.sizes = self.document["model"]["model_cfg"]
        # Only a checkpoint of ours has this key; ModelScope's literals are used without it.
        self.ours = self.document.get("text_to_video_bot", {})
        code = upstream_module("diffusion")
        betas = code.beta_schedule("linear_sd", self.sizes["num_timesteps"], init_beta=0.00085, last_beta=0.0120)
        self.diffusion = code.GaussianDiffusion(
            betas=betas, mean_type="eps", var_type="fixed_small", loss_type="mse", rescale_timesteps=False
        )

    def load_unet(self, *, as_upstream: bool = True) -> nn.Module:
        """Construct, fill from the file, move: TextToVideoSynthesis.__init__, lines for sd_model.

        Without as_upstream, no first weights are drawn only to be overwritten: half a minute less where loading is not
        what is measured. The network and its memory are the same afterwards.
        """
        names = ("in_dim", "dim", "y_dim", "context_dim", "out_dim", "dim_mult", "num_heads", "head_dim")
        arguments = {name: self.sizes[f"unet_{name}"] for name in names}
        with torch.device("cpu" if as_upstream else "meta"):
            unet = upstream_module("unet_sd").UNetSD(
                **arguments,
                num_res_blocks=self.sizes["unet_res_blocks"],
                attn_scales=self.sizes["unet_attn_scales"],
                dropout=self.sizes["unet_dropout"],
                temporal_attention=self.sizes["temporal_attention"] == "True",
            )
        state = torch.load(self.folder / self.files["ckpt_unet"], weights_only=True)
        unet.load_state_dict(state, strict=True, assign=not as_upstream)
        self.unet: nn.Module = unet.eval().to(self.device)
        return self.unet

    def load_autoencoder(self) -> nn.Module:
        ddconfig = {**DDCONFIG, **self.ours.get("autoencoder", {})}
        network = upstream_module("autoencoder").AutoencoderKL(
            ddconfig, 4, self.folder / self.files["ckpt_autoencoder"]
        )
        # Any: torch types every attribute of a module as Tensor or Module, its decode() among them.
        self.autoencoder: Any = network.eval().to(self.device)
        loaded: nn.Module = self.autoencoder
        return loaded

    def load_text(self, *, as_upstream: bool = True) -> nn.Module:
        """FrozenOpenCLIPEmbedder: the whole of CLIP is built and filled, then the visual tower is dropped.

        Without as_upstream, only what is kept is filled, and nothing is drawn first.
        """
        file = str(self.folder / self.files["ckpt_clip"])
        if "text_tower" in self.ours:
            tower = self.ours["text_tower"]
            text = open_clip.transformer.TextTransformer(
                context_length=77, vocab_size=49408, width=tower["width"], heads=tower["heads"],
                layers=tower["layers"], output_dim=tower.get("projection_dim", 1024),
            )  # fmt: skip
            state = torch.load(file, weights_only=True)
            text.load_state_dict({name: value for name, value in state.items() if name in text.state_dict()})
            model: Any = text
        elif not as_upstream:
            with torch.device("meta"):
                model = open_clip.model.CLIP(**open_clip.get_model_config("ViT-H-14"))
            del model.visual
            state = torch.load(file, weights_only=True, mmap=True)
            model.load_state_dict({name: state[name].clone() for name in model.state_dict()}, strict=True, assign=True)
            # No checkpoint holds it: a token sees those before it.
            model.attn_mask = torch.full((77, 77), float("-inf")).triu(1)
        else:
            model, _, _ = open_clip.create_model_and_transforms("ViT-H-14", device="cpu", pretrained=file)
            del model.visual
        self.text: Any = model.eval().requires_grad_(False).to(self.device)
        encoder: nn.Module = self.text
        return encoder

    @torch.no_grad()
    def encode(self, prompt: str) -> Tensor:
        """Return features (1, 77, 1024) of one prompt: all blocks but the last, then the last normalisation."""
        tokens = open_clip.tokenize([prompt]).to(self.device)
        x = self.text.token_embedding(tokens) + self.text.positional_embedding
        blocks = self.text.transformer.resblocks
        tower = self.ours.get("text_tower", {})
        for block in blocks if tower.get("output_layer") == "last" else blocks[:-1]:
            x = block(x, attn_mask=self.text.attn_mask)
        x = self.text.ln_final(x)
        if tower.get("project_tokens"):
            x = x @ self.text.text_projection
        features: Tensor = x
        return features

    @torch.no_grad()
    def guided_step(self, latents: Tensor, t: int, conditional: Tensor, unconditional: Tensor, steps: int) -> Tensor:
        """One step of ddim_sample as ddim_sample_loop calls it, guidance 9."""
        times = torch.full((len(latents),), t, dtype=torch.long, device=self.device)
        kwargs = [{"y": conditional}, {"y": unconditional}]
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            result, _ = self.diffusion.ddim_sample(latents, times, self.unet, kwargs, None, None, None, 9.0, steps, 0.0)
        latents = result
        return latents

    @torch.no_grad()
    def sample(self, noise: Tensor, conditional: Tensor, unconditional: Tensor, steps: int = 50) -> Tensor:
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            result: Tensor = self.diffusion.ddim_sample_loop(
                noise=noise.to(self.device),
                model=self.unet,
                model_kwargs=[{"y": conditional}, {"y": unconditional}],
                guide_scale=9.0,
                ddim_timesteps=steps,
                eta=0.0,
            )
        return result

    @torch.no_grad()
    def decode(self, latents: Tensor) -> npt.NDArray[np.uint8]:
        """Return frames (F, H, W, 3) from latents (1, 4, F, h, w): all at once, then tensor2vid."""
        frames = (latents / SCALE_FACTOR)[0].transpose(0, 1)
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            pixels = self.autoencoder.decode(frames)
        return to_levels(pixels)

    def render(self, prompt: str, seed: int, steps: int, frames: int, height: int, width: int) -> npt.NDArray[np.uint8]:
        """What TextToVideoSynthesis.forward does for one prompt, both texts encoded first as its pipeline does."""
        conditional, unconditional = self.encode(prompt), self.encode("")
        noise = torch.randn((1, 4, frames, height // 8, width // 8), generator=torch.Generator().manual_seed(seed))
        return self.decode(self.sample(noise, conditional, unconditional, steps))


def to_levels(pixels: Tensor) -> npt.NDArray[np.uint8]:
    """tensor2vid: frames (F, 3, H, W), about -1..1, to (F, H, W, 3) of 0..255."""
    video = pixels.float().cpu().mul(0.5).add(0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    levels: npt.NDArray[np.uint8] = (video * 255).astype(np.uint8)
    return levels
