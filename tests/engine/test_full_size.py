"""ModelScope's own folder, by names and shapes: built on torch's meta device, without memory and without weights."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
import torch

from generations.engine.card import read_card
from generations.engine.modelscope.autoencoder import build_autoencoder
from generations.engine.modelscope.configuration import Configuration, read_configuration
from generations.engine.modelscope.text_encoder import TextTower
from generations.engine.modelscope.unet import build_unet

# configuration.json of iic/text-to-video-synthesis.
MODELSCOPES_OWN = {
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
            "unet_in_dim": 4,
            "unet_dim": 320,
            "unet_y_dim": 768,
            "unet_context_dim": 1024,
            "unet_out_dim": 4,
            "unet_dim_mult": [1, 2, 4, 4],
            "unet_num_heads": 8,
            "unet_head_dim": 64,
            "unet_res_blocks": 2,
            "unet_attn_scales": [1, 0.5, 0.25],
            "unet_dropout": 0.1,
            "temporal_attention": "True",
            "num_timesteps": 1000,
            "mean_type": "eps",
            "var_type": "fixed_small",
            "loss_type": "mse",
        },
    },
    "pipeline": {"type": "latent-text-to-video-synthesis"},
}


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    (tmp_path / "configuration.json").write_text(json.dumps(MODELSCOPES_OWN))
    return read_configuration(tmp_path)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_text_tower_has_the_names_and_shapes_of_open_clips_vit_h_14(configuration: Configuration) -> None:
    with torch.device("meta"):
        stock = open_clip.model.CLIP(**open_clip.get_model_config("ViT-H-14"))
        tower = TextTower(configuration.text)
    expected = {
        name: value.shape
        for name, value in stock.state_dict().items()
        if not name.startswith(("visual.", "logit_scale"))
    }
    assert {name: value.shape for name, value in tower.state_dict().items()} == expected
    assert parameters(tower) == 354_032_640


def test_the_networks_are_modelscopes_in_full_size(configuration: Configuration) -> None:
    with torch.device("meta"):
        unet, autoencoder = build_unet(configuration.unet), build_autoencoder(configuration.autoencoder)
    assert parameters(unet) == 1_411_233_860
    assert parameters(autoencoder) == 83_653_863


def test_the_full_size_network_takes_every_multiple_of_8(configuration: Configuration) -> None:
    with torch.device("meta"):
        unet = build_unet(configuration.unet).eval()
        for width, height in ((256, 256), (64, 64), (72, 576), (328, 248)):
            latents = torch.empty(1, 4, 2, height // 8, width // 8)
            assert unet(latents, torch.ones(1, dtype=torch.long), torch.empty(1, 77, 1024)).shape == latents.shape


def test_the_card_of_modelscopes_own_folder_has_upstreams_defaults(tmp_path: Path) -> None:
    (tmp_path / "configuration.json").write_text(json.dumps(MODELSCOPES_OWN))
    spec = read_card(tmp_path).spec("A panda eating bamboo on a rock.", seed=1)
    assert (spec.frames, spec.width, spec.height, spec.fps) == (16, 256, 256, 8)
    assert (spec.steps, spec.guidance_scale, spec.negative_prompt) == (50, 9.0, "")
