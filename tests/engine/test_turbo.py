"""Few-step LoRAs that an operator supplies: merged as their makers mean them, or refused in one line.

The files are made here, in PEFT's format and with the layer names of diffusers' UNet3DConditionModel: no published LoRA
is at hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from generations.engine.base import CheckpointError, EngineError, VideoSpec, render_one
from generations.engine.card import InvalidSpec, ModelCard, read_card
from generations.engine.modelscope import sampler
from generations.engine.modelscope.lora import layer_names, with_lora
from generations.engine.modelscope.pipeline import ModelScopeEngine
from generations.engine.modelscope.unet import UNet
from tests.engine.checkpoint import randomise

# diffusers 0.42.1 hands tensors to numpy in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SMALL: dict[str, Any] = {
    "in_dim": 4, "dim": 32, "y_dim": 768, "context_dim": 1024, "out_dim": 4, "dim_mult": [1, 2], "num_heads": 8,
    "head_dim": 32, "num_res_blocks": 1, "attn_scales": [1], "dropout": 0.1, "temporal_attention": True,
}  # fmt: skip
RANK, ALPHA = 2, 6
LINEAR_AND_CONVOLUTIONS = (nn.Linear, nn.Conv2d, nn.Conv3d)


def diffusers_unet() -> Any:
    from diffusers import UNet3DConditionModel

    return UNet3DConditionModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        cross_attention_dim=1024,
        attention_head_dim=32,
    ).eval()


def lora_for(network: nn.Module) -> dict[str, Tensor]:
    """A LoRA on every layer that PEFT can adapt, in PEFT's names and shapes."""
    generator = torch.Generator().manual_seed(3)
    lora = {}
    for name, layer in network.named_modules():
        if isinstance(layer, LINEAR_AND_CONVOLUTIONS):
            out, *rest = layer.weight.shape
            ones = [1] * (len(rest) - 1)
            key = f"base_model.model.{name}"
            scale = layer.weight[0].numel() ** -0.5
            lora[f"{key}.lora_A.weight"] = torch.randn([RANK, *rest], generator=generator) * scale
            lora[f"{key}.lora_B.weight"] = torch.randn([out, RANK, *ones], generator=generator) * 0.3
    return lora


def write(folder: Path, lora: dict[str, Tensor], **configuration: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(lora, folder / "adapter_model.safetensors")
    document = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, **configuration}
    (folder / "adapter_config.json").write_text(json.dumps(document))
    return folder


@torch.no_grad()
def merge_there(network: nn.Module, lora: dict[str, Tensor]) -> None:
    """What PEFT's merge does, layer by layer, in diffusers' own network."""
    for name, layer in network.named_modules():
        if isinstance(layer, LINEAR_AND_CONVOLUTIONS):
            down, up = (lora[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
            layer.weight += (ALPHA / RANK) * torch.einsum("or,r...->o...", up.flatten(1), down)


def in_our_names(state: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    names = layer_names(2, 1, [True, False])
    found = {}
    for key, value in state.items():
        prefix = max((name for name in names if key.startswith(f"{name}.")), key=len)
        name = names[prefix] + key[len(prefix) :]
        found[name] = value.reshape(ours[name].shape)
    return found


@torch.no_grad()
def test_a_lora_for_diffusers_network_does_to_ours_what_it_does_to_theirs(tmp_path: Path) -> None:
    theirs, ours = randomise(diffusers_unet(), 1), UNet(**SMALL).eval()
    ours.load_state_dict(in_our_names(theirs.state_dict(), ours.state_dict()))
    latents, t, text = torch.randn(1, 4, 3, 8, 8), torch.tensor([500]), torch.randn(1, 5, 1024)
    before = theirs(latents, t, text).sample
    torch.testing.assert_close(ours(latents, t, text), before, rtol=1e-4, atol=1e-4 * float(before.std()))

    lora = lora_for(theirs)
    merged = with_lora(ours, SMALL, write(tmp_path / "lora", lora))
    merge_there(theirs, lora)
    after = theirs(latents, t, text).sample
    assert float((after - before).std()) > 0.1 * float(before.std())
    torch.testing.assert_close(merged(latents, t, text), after, rtol=1e-4, atol=1e-4 * float(after.std()))
    torch.testing.assert_close(ours(latents, t, text), before, rtol=1e-4, atol=1e-4 * float(before.std()))


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_lcm_equals_diffusers_scheduler_step_by_step(steps: int) -> None:
    from diffusers import LCMScheduler

    scheduler = LCMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_scaling=4.0, clip_sample=False
    )
    scheduler.set_timesteps(steps)
    visits = sampler.lcm_timesteps(steps)
    assert [t for t, _ in visits] == scheduler.timesteps.tolist()

    alphas, generator = sampler.alphas_cumprod(), torch.Generator().manual_seed(5)
    sample = torch.randn(1, 4, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    for t, t_prev in visits:
        estimate = torch.tanh(sample * (1 + t / 500))
        state = generator.get_state()
        theirs = scheduler.step(estimate, t, sample, generator=generator).prev_sample
        noise = torch.randn(sample.shape, generator=again(state))
        sample = sampler.lcm_step(estimate, t, t_prev, sample, alphas, noise)
        torch.testing.assert_close(sample, theirs, rtol=1e-5, atol=1e-5)


def again(state: Tensor) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(state)
    return generator


@pytest.mark.parametrize("steps", [0, 51])
def test_lcm_takes_no_more_steps_than_it_was_trained_on(steps: int) -> None:
    with pytest.raises(ValueError, match="steps must be from 1 to 50"):
        sampler.visits("lcm", steps)
    with pytest.raises(InvalidSpec, match=r"^steps must be a whole number from 1 to 50, not 51\.$"):
        ModelCard(presets=("exact", "turbo")).spec("a", seed=1, preset="turbo", steps=51)


# --- in the engine


def small_lora(**changes: Tensor | None) -> dict[str, Tensor]:
    """A LoRA on two layers of the tests' checkpoint: a linear one, and a temporal one that is a convolution there."""
    where = "base_model.model.down_blocks.0"
    generator = torch.Generator().manual_seed(7)
    lora = {
        f"{where}.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (RANK, 1024),
        f"{where}.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight": (32, RANK),
        f"{where}.temp_attentions.0.proj_in.lora_A.weight": (RANK, 32),
        f"{where}.temp_attentions.0.proj_in.lora_B.weight": (32, RANK),
    }
    tensors: dict[str, Tensor] = {name: torch.randn(shape, generator=generator) for name, shape in lora.items()}
    for part, value in changes.items():
        [name] = [name for name in tensors if name.endswith(part.replace("__", "."))]
        del tensors[name]
        if value is not None:
            tensors[name] = value
    return tensors


@pytest.fixture(scope="module")
def turbo(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelScopeEngine:
    lora = write(tmp_path_factory.mktemp("loras") / "turbo", small_lora())
    return ModelScopeEngine(model_folder, "cpu", lora)


def test_turbo_is_offered_only_where_a_lora_is_configured(turbo: ModelScopeEngine, engine: ModelScopeEngine) -> None:
    assert turbo.card.spec("a", seed=1, preset="turbo").steps == 4
    with pytest.raises(InvalidSpec, match=r"^preset must be exact, balanced, fast or draft, not turbo\.$"):
        engine.card.spec("a", seed=1, preset="turbo")
    assert "turbo" in read_card("iic/text-to-video-synthesis", turbo=True).presets
    assert "turbo" not in read_card("iic/text-to-video-synthesis").presets


def test_turbo_draws_with_the_lora_and_the_other_presets_without(
    turbo: ModelScopeEngine, engine: ModelScopeEngine, spec: VideoSpec
) -> None:
    def render(renderer: ModelScopeEngine, chosen: VideoSpec) -> Any:
        return render_one(renderer, chosen)

    fast_clip = replace(spec, preset="turbo", steps=4)
    clip = render(turbo, fast_clip)
    assert clip.std() > 5
    assert np.array_equal(render(turbo, fast_clip), clip), "the noise between steps is the seed's too"
    assert not np.array_equal(render(turbo, replace(fast_clip, seed=8)), clip)
    assert np.array_equal(render(turbo, replace(fast_clip, negative_prompt="blue", guidance_scale=2.0)), clip)
    assert np.array_equal(render(turbo, spec), render(engine, spec)), "exact is what it was, also after turbo"


NOT_READABLE = r"adapter_config\.json: not a readable PEFT configuration"
Break = Callable[[Path], Path]


def without_configuration(folder: Path) -> Path:
    write(folder, small_lora())
    (folder / "adapter_config.json").unlink()
    return folder


def list_of_tensors(folder: Path) -> Path:
    """As cloneofsimo's code writes them, and T2V-Turbo with it: in order, without names."""
    folder.mkdir()
    torch.save([torch.zeros(2, 2), torch.zeros(2, 2)], folder / "unet_lora.pt")
    return folder / "unet_lora.pt"


@pytest.mark.parametrize(
    ("supply", "complaint"),
    [
        (lambda folder: folder, r"lora: missing$"),
        (without_configuration, r"adapter_config\.json: missing$"),
        (list_of_tensors, r"unet_lora\.pt: not a safetensors file of a PEFT LoRA"),
        (
            lambda f: write(f, small_lora(), lora_alpha="six"),
            NOT_READABLE,
        ),
        (lambda f: write(f, small_lora(), r=0), NOT_READABLE),
        (lambda f: write(f, small_lora(), use_dora=True), r"use_dora is a kind of LoRA that is not supported$"),
        (lambda f: write(f, {"unet:0:up": torch.zeros(2, 2)}), r"unet:0:up is not a name of a PEFT LoRA$"),
        (lambda f: write(f, {"conv_x.lora_A.weight": torch.zeros(2, 2)}), r"conv_x is no layer of this model's UNet$"),
        (lambda f: write(f, small_lora(to_k__lora_B__weight=None)), r"attn2\.to_k has only one of lora_A and lora_B$"),
        (
            lambda f: write(f, small_lora(to_k__lora_A__weight=torch.zeros(RANK, 768))),
            r"attn2\.to_k is \(32, 2\) x \(2, 768\), which does not fit a weight of \(32, 1024\)$",
        ),
        (
            lambda f: write(f, small_lora(to_k__lora_A__weight=torch.full((RANK, 1024), torch.nan))),
            r"attn2\.to_k is not finite$",
        ),
        (lambda f: write(f, small_lora(to_k__lora_A__weight=torch.zeros(RANK))), r"not a matrix of floating-point"),
    ],
)
def test_a_lora_that_does_not_fit_is_refused_at_the_start_in_one_line(
    supply: Break, complaint: str, model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as refusal:
        ModelScopeEngine(model_folder, "cpu", supply(tmp_path / "lora"))
    [line] = refusal.value.problems
    assert "\n" not in line
    assert re.search(complaint, line), line
    assert isinstance(refusal.value, EngineError)
