"""Our path against ModelScope's own unmodified classes: same random weights, same noise, same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from generations.engine.modelscope import autoencoder, pipeline, sampler
from generations.engine.modelscope.pipeline import ModelScopeEngine
from generations.engine.modelscope.unet import UNet
from generations.engine.modelscope.upstream import upstream_module
from tests.engine.checkpoint import AUTOENCODER_FILE, DDCONFIG, UNET, UNET_FILE, randomise, upstream_unet

diffusion_code = upstream_module("diffusion")


def upstream_diffusion() -> object:
    """GaussianDiffusion as TextToVideoSynthesis.__init__ makes it."""
    betas = diffusion_code.beta_schedule("linear_sd", 1000, init_beta=0.00085, last_beta=0.0120)
    return diffusion_code.GaussianDiffusion(betas=betas, mean_type="eps", var_type="fixed_small", loss_type="mse")


@pytest.fixture(scope="module")
def stock_unet(model_folder: Path) -> nn.Module:
    network = upstream_unet()
    network.load_state_dict(torch.load(model_folder / UNET_FILE, weights_only=True), strict=True)
    return network.eval()


@pytest.fixture(scope="module")
def stock_autoencoder(model_folder: Path) -> nn.Module:
    network: nn.Module = upstream_module("autoencoder").AutoencoderKL(DDCONFIG, 4, model_folder / AUTOENCODER_FILE)
    return network.eval()


def stock_frames(network: nn.Module, latents: Tensor) -> npt.NDArray[np.uint8]:
    """Decode and convert as TextToVideoSynthesis.forward and tensor2vid upstream."""
    frames = (1.0 / 0.18215 * latents)[0].transpose(0, 1)
    with torch.no_grad():
        pixels = network.decode(frames)
    levels = (pixels.mul(0.5).add(0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy() * 255).astype("uint8")
    return np.asarray(levels)


@torch.no_grad()
def test_a_ten_step_video_equals_upstreams(
    engine: ModelScopeEngine, stock_unet: nn.Module, stock_autoencoder: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = engine.card.spec("a blue square", seed=11, steps=10, negative_prompt="a red circle", guidance_scale=9.0)
    final: list[Tensor] = []

    def recording(network: nn.Module, latents: Tensor) -> Tensor:
        final.append(latents)
        return decode(network, latents)

    decode = pipeline.decode
    monkeypatch.setattr(pipeline, "decode", recording)
    frames = engine.render([spec], lambda done, steps: None)[0]

    torch.manual_seed(11)
    noise = torch.randn(1, 4, 4, 8, 8)
    unconditional, conditional = engine.encode("a red circle", "a blue square").split(1)
    expected = upstream_diffusion().ddim_sample_loop(
        noise=noise,
        model=stock_unet,
        model_kwargs=[{"y": conditional}, {"y": unconditional}],
        guide_scale=9.0,
        ddim_timesteps=10,
        eta=0.0,
    )
    assert float(expected.std()) > 0.1
    assert float((final[0] - expected).abs().max()) < 1e-3
    difference = frames.astype(int) - stock_frames(stock_autoencoder, expected).astype(int)
    assert frames.std() > 10
    assert abs(difference).max() <= 1


@torch.no_grad()
def test_a_long_video_decoded_in_pieces_equals_one_decoded_at_once(
    engine: ModelScopeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = engine.noise(engine.card.spec("a", seed=5, frames=5))
    at_once = autoencoder.decode(engine.autoencoder, latents)
    monkeypatch.setattr(autoencoder, "CELLS_AT_ONCE", 2 * 8 * 8)
    torch.testing.assert_close(autoencoder.decode(engine.autoencoder, latents), at_once, atol=1e-4, rtol=0)
    assert at_once.shape == (5, 3, 64, 64)


@torch.no_grad()
def test_every_steps_noise_estimate_equals_upstreams(engine: ModelScopeEngine, stock_unet: nn.Module) -> None:
    spec = engine.card.spec("a green triangle", seed=3)
    latents = engine.noise(spec)
    contexts = engine.encode("", "a green triangle")
    for t, t_prev in sampler.timesteps(10):
        times = torch.full((1,), t, dtype=torch.long)
        expected = torch.cat([stock_unet(latents, times, context) for context in contexts.split(1)])
        found = engine.predict(latents, t, contexts)
        assert float((found - expected).abs().max()) < 1e-4 * float(expected.std())
        latents = sampler.ddim_step(sampler.guide(*expected.split(1), 9.0), t, t_prev, latents, engine.alphas)


@pytest.mark.parametrize("steps", [1, 2, 7, 10, 30, 50, 60, 100, 999])
def test_a_step_count_visits_the_timesteps_upstream_visits(steps: int) -> None:
    upstream = upstream_diffusion()
    visited: list[int] = []

    def model(xt: Tensor, t: Tensor) -> Tensor:
        visited.append(int(t))
        return xt * 0.5

    noise = torch.randn(1, 4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = upstream.ddim_sample_loop(noise=noise, model=model, ddim_timesteps=steps)
    sample, alphas = noise, sampler.alphas_cumprod()
    for t, t_prev in sampler.timesteps(steps):
        sample = sampler.ddim_step(sample * 0.5, t, t_prev, sample, alphas)

    assert [t for t, _ in sampler.timesteps(steps)] == visited
    torch.testing.assert_close(sample, expected, rtol=1e-4, atol=1e-4)


def test_fifty_steps_run_from_981_down_to_1() -> None:
    visits = sampler.timesteps(50)
    assert (len(visits), visits[0], visits[-1]) == (50, (981, 961), (1, 0))


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_an_impossible_step_count_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="steps must be from 1 to 1000"):
        sampler.timesteps(steps)


def test_the_noise_schedule_equals_upstreams() -> None:
    assert torch.equal(sampler.alphas_cumprod(), upstream_diffusion().alphas_cumprod)


def test_the_noise_equals_upstreams_for_the_same_seed(engine: ModelScopeEngine) -> None:
    torch.manual_seed(123)
    assert torch.equal(engine.noise(engine.card.spec("a", seed=123)), torch.randn(1, 4, 4, 8, 8))


@torch.no_grad()
def test_sides_that_do_not_halve_evenly_work_where_upstream_crashes() -> None:
    ours, stock = UNet(**UNET), upstream_unet()
    randomise(stock, 5)
    ours.load_state_dict(stock.state_dict())
    ours.eval()
    t, context = torch.tensor([500]), torch.randn(1, 77, 1024)

    even = torch.randn(1, 4, 2, 6, 4)
    assert torch.equal(ours(even, t, context), stock(even, t, context))

    odd = torch.randn(1, 4, 2, 5, 9)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        stock(odd, t, context)
    assert ours(odd, t, context).shape == odd.shape
