"""What one process of a benchmark does: load one side (ModelScope's classes, diffusers' or ours), do the work, time it.

Started by benchmarks.exact, one process per measurement, so that neither side finds what the other left behind.
Everything is float32 on the CPU; on CUDA ModelScope runs under its own autocast and ours in half precision.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.stock import StockPipeline
from generations.engine.base import render_one
from generations.engine.modelscope import sampler
from generations.engine.modelscope.pipeline import ModelScopeEngine

GIB = 2**30
PROMPT = "A panda eating bamboo on a rock."
# The first timestep of upstream's 50 and the one it leads to.
FIRST = (981, 961)


@dataclass(frozen=True)
class Work:
    """Where the weights are and how large the clip is; sides in latent cells (8 pixels)."""

    folder: Path
    device: str
    frames: int
    height: int
    width: int
    steps: int

    @property
    def latents(self) -> Tensor:
        shape = (1, 4, self.frames, self.height, self.width)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(torch.device(self.device))

    def context(self, seed: int) -> Tensor:
        """Text features that need no text tower."""
        return torch.randn((1, 77, 1024), generator=torch.Generator().manual_seed(seed)).to(torch.device(self.device))


Result = tuple[dict[str, float], dict[str, Tensor | np.ndarray[Any, Any]]]


def stock_guided_step(work: Work) -> Result:
    stock = StockPipeline(work.folder, work.device)
    stock.load_unet(as_upstream=False)
    return guided_step_figures(work, stock.guided_step)


def diffusers_guided_step(work: Work) -> Result:
    # Imported here: the other sides must not pay for it.
    from benchmarks.diffusers_side import DiffusersPipeline

    diffusers = DiffusersPipeline(work.folder, work.device)
    diffusers.load_unet()
    return guided_step_figures(work, diffusers.guided_step)


def guided_step_figures(work: Work, step: Callable[[Tensor, int, Tensor, Tensor, int], Tensor]) -> Result:
    latents, conditional, unconditional = work.latents, work.context(1), work.context(2)
    step(latents[..., :8, :8].contiguous(), FIRST[0], conditional, unconditional, 50)
    result, seconds = timed(work, lambda: step(latents, FIRST[0], conditional, unconditional, 50))
    return {"seconds": seconds}, {"noise": noise_estimate(latents, result)}


@torch.inference_mode()
def our_guided_step(work: Work) -> Result:
    engine = ModelScopeEngine(work.folder, work.device)
    latents, context = work.latents, torch.cat([work.context(2), work.context(1)]).to(engine.dtype)

    def once() -> tuple[Any, Any]:
        return engine.unet.text_context(context), engine.time_table([FIRST[0]])[0]

    def step(z: Tensor, text: Any, t: Tensor) -> Tensor:
        unconditional, conditional = engine.denoise(z, t, text).chunk(2)
        return sampler.ddim_step(sampler.guide(unconditional, conditional, 9.0), *FIRST, z, engine.alphas)

    step(latents[..., :8, :8].contiguous(), *once())
    (text, t), once_per_request = timed(work, once)
    result, seconds = timed(work, lambda: step(latents, text, t))
    return {"seconds": seconds, "once_per_request": once_per_request}, {"noise": noise_estimate(latents, result)}


def noise_estimate(before: Tensor, after: Tensor) -> Tensor:
    """The guided noise estimate that took a DDIM step from before to after; the step itself would hide most of it."""
    alphas = sampler.alphas_cumprod(1000)
    a, a_prev = (float(alphas[t]) for t in FIRST)
    kept = (a_prev / a) ** 0.5
    return (after.double() - kept * before.double()) / ((1 - a_prev) ** 0.5 - kept * (1 - a) ** 0.5)


def stock_launches(work: Work) -> Result:
    stock = StockPipeline(work.folder, work.device)
    stock.load_unet(as_upstream=False)
    latents, conditional, unconditional = work.latents, work.context(1), work.context(2)
    return launches(lambda: stock.guided_step(latents, FIRST[0], conditional, unconditional, 50))


@torch.inference_mode()
def our_launches(work: Work) -> Result:
    engine = ModelScopeEngine(work.folder, work.device)
    latents, context = work.latents, torch.cat([work.context(2), work.context(1)]).to(engine.dtype)
    text, [t] = engine.unet.text_context(context), engine.time_table([FIRST[0]])

    def step() -> Tensor:
        unconditional, conditional = engine.denoise(latents, t, text).chunk(2)
        return sampler.ddim_step(sampler.guide(unconditional, conditional, 9.0), *FIRST, latents, engine.alphas)

    return launches(step)


def launches(step: Callable[[], Tensor]) -> Result:
    """Kernels that one guided step starts on CUDA; on the CPU the operations that do not only look at memory anew."""
    step()
    with torch.profiler.profile() as profile:
        result = step()
    kernels = sum(event.device_type.name == "CUDA" for event in profile.events())
    if not kernels:
        views = ("view", "reshape", "expand", "permute", "transpose", "slice", "select", "as_strided", "unsqueeze")
        names = [event.name.removeprefix("aten::") for event in profile.events() if event.name.startswith("aten::")]
        kernels = sum(name not in views for name in names)
    return {"launches": kernels}, {"latents": result}


def stock_clip(work: Work) -> Result:
    stock = StockPipeline(work.folder, work.device)
    stock.load_unet(as_upstream=False)
    stock.load_autoencoder()
    conditional, unconditional, noise = work.context(1), work.context(2), work.latents
    stock.guided_step(noise, FIRST[0], conditional, unconditional, 50)
    latents, sampling = timed(work, lambda: stock.sample(noise, conditional, unconditional, work.steps))
    pixels, decoding = timed(work, lambda: stock.decode(latents))
    return {"seconds": sampling + decoding, "sampling": sampling}, {"latents": latents, "pixels": pixels}


@torch.inference_mode()
def our_clip(work: Work) -> Result:
    engine = ModelScopeEngine(work.folder, work.device)
    context, noise = torch.cat([work.context(2), work.context(1)]).to(engine.dtype), work.latents
    visits = sampler.timesteps(work.steps, engine.num_timesteps)
    engine.predict(noise, FIRST[0], context)

    def sample() -> Tensor:
        text, times, z = engine.unet.text_context(context), engine.time_table([t for t, _ in visits]), noise
        for time_row, (t, t_prev) in zip(times, visits, strict=True):
            unconditional, conditional = engine.denoise(z, time_row, text).chunk(2)
            z = sampler.ddim_step(sampler.guide(unconditional, conditional, 9.0), t, t_prev, z, engine.alphas)
        return z

    latents, sampling = timed(work, sample)
    pixels, decoding = timed(work, lambda: to_levels(engine.decode(latents)))
    return {"seconds": sampling + decoding, "sampling": sampling}, {"latents": latents, "pixels": pixels}


def stock_text(work: Work) -> Result:
    stock = StockPipeline(work.folder, work.device)
    stock.load_text(as_upstream=False)

    def request(prompt: str) -> Tensor:
        # The pipeline's preprocess encodes the empty prompt anew with every request.
        return torch.cat([stock.encode(""), stock.encode(prompt)])

    return text_figures(work, request)


@torch.inference_mode()
def our_text(work: Work) -> Result:
    engine = ModelScopeEngine(work.folder, work.device)
    return text_figures(work, lambda prompt: engine.encode("", prompt).float())


def text_figures(work: Work, request: Callable[[str], Tensor]) -> Result:
    request("warm up")
    first = [timed(work, functools.partial(request, f"{PROMPT} {number}"))[1] for number in range(3)]
    features, _ = timed(work, lambda: request(PROMPT))
    repeats = 3
    repeated = [timed(work, lambda: request(PROMPT))[1] for _ in range(repeats)]
    return {"seconds": sorted(first)[1], "repeated": sorted(repeated)[1]}, {"features": features}


def stock_decode(work: Work) -> Result:
    stock = StockPipeline(work.folder, work.device)
    stock.load_autoencoder()
    return decode_figures(work, stock.decode)


def diffusers_decode(work: Work) -> Result:
    from benchmarks.diffusers_side import DiffusersPipeline

    diffusers = DiffusersPipeline(work.folder, work.device)
    diffusers.load_autoencoder()
    return decode_figures(work, diffusers.decode)


@torch.inference_mode()
def our_decode(work: Work) -> Result:
    engine = ModelScopeEngine(work.folder, work.device)
    return decode_figures(work, lambda latents: to_levels(engine.decode(latents)))


def decode_figures(work: Work, decode: Callable[[Tensor], Any]) -> Result:
    latents = work.latents * 0.5
    decode(latents[:, :, :1, :8, :8].contiguous())
    decoding = Decoding(work, decode)
    pixels = decoding(latents)
    return decoding.figures, {"pixels": pixels}


class Decoding:
    """Calls decode and keeps what it took: seconds, and GiB above what the process held before it."""

    def __init__(self, work: Work, decode: Callable[[Tensor], Any]) -> None:
        self.work, self.decode = work, decode
        self.seconds = self.activations = self.peak_before = 0.0

    def __call__(self, latents: Tensor) -> Any:
        self.peak_before = max(self.peak_before, memory_peak(self.work))
        give_back_memory(self.work)
        before = memory_now(self.work)
        reset_peak(self.work)
        result, seconds = timed(self.work, lambda: self.decode(latents))
        self.seconds += seconds
        self.activations = max(self.activations, memory_peak(self.work) - before)
        return result

    @property
    def figures(self) -> dict[str, float]:
        return {"seconds": self.seconds, "activations": self.activations}

    @property
    def peak(self) -> float:
        """GiB: the process's peak, before and after the peak was set back for decoding."""
        return max(self.peak_before, memory_peak(self.work))


def stock_request(work: Work) -> Result:
    stock = StockPipeline(work.folder, work.device)
    stock.load_unet()
    stock.load_autoencoder()
    stock.load_text()
    decoding = Decoding(work, stock.decode)
    # Any: mypy takes a method for something that cannot be replaced.
    replaceable: Any = stock
    replaceable.decode = decoding
    frames, seconds = timed(
        work, lambda: stock.render(PROMPT, 0, work.steps, work.frames, work.height * 8, work.width * 8)
    )
    return request_figures(work, decoding, seconds), {"pixels": frames}


def our_request(work: Work) -> Result:
    engine = ModelScopeEngine(work.folder, work.device)
    decoding = Decoding(work, engine.decode)
    replaceable: Any = engine
    replaceable.decode = decoding
    spec = engine.card.spec(
        PROMPT, seed=0, frames=work.frames, width=work.width * 8, height=work.height * 8, steps=work.steps,
        guidance_scale=9.0,
    )  # fmt: skip
    frames, seconds = timed(work, lambda: render_one(engine, spec))
    return request_figures(work, decoding, seconds), {"pixels": frames}


def request_figures(work: Work, decoding: Decoding, seconds: float) -> dict[str, float]:
    return {
        "seconds": seconds,
        "seconds_before_decoding": seconds - decoding.seconds,
        "seconds_of_decoding": decoding.seconds,
        "activations": decoding.activations,
        "vram_peak" if work.device.startswith("cuda") else "peak_rss": decoding.peak,
    }


def to_levels(pixels: Tensor) -> np.ndarray[Any, Any]:
    levels = (pixels.float() * 0.5 + 0.5).clamp(0, 1).mul(255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


SIDES: dict[str, dict[str, Callable[[Work], Result]]] = {
    "guided-step": {"stock": stock_guided_step, "ours": our_guided_step, "diffusers": diffusers_guided_step},
    "launches": {"stock": stock_launches, "ours": our_launches},
    "clip": {"stock": stock_clip, "ours": our_clip},
    "text": {"stock": stock_text, "ours": our_text},
    "decode": {"stock": stock_decode, "ours": our_decode, "diffusers": diffusers_decode},
    "request": {"stock": stock_request, "ours": our_request},
}


def timed(work: Work, do: Callable[[], Any]) -> tuple[Any, float]:
    cuda = work.device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    result = do()
    if cuda:
        torch.cuda.synchronize()
    return result, time.perf_counter() - started


def memory_now(work: Work) -> float:
    if work.device.startswith("cuda"):
        return torch.cuda.memory_allocated() / GIB
    return _status("VmRSS")


def memory_peak(work: Work) -> float:
    if work.device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / GIB
    return _status("VmHWM")


def give_back_memory(work: Work) -> None:
    """What was freed goes back to the system, or the next work would take it again without a rise to be seen."""
    if not work.device.startswith("cuda"):
        ctypes.CDLL(None).malloc_trim(0)


def reset_peak(work: Work) -> None:
    if work.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    else:
        # proc(5): 5 sets the peak resident size back to the present one.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / GIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.sides")
    parser.add_argument("benchmark", choices=SIDES)
    parser.add_argument("side", choices=("stock", "ours", "diffusers"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--shape", type=int, nargs=3, metavar=("FRAMES", "HEIGHT", "WIDTH"), required=True)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path, required=True, help="where the result goes, for the comparison")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    frames, height, width = options.shape
    work = Work(options.folder, options.device, frames, height, width, options.steps)
    figures, results = SIDES[options.benchmark][options.side](work)
    arrays = {
        name: value.float().cpu().numpy() if isinstance(value, Tensor) else value for name, value in results.items()
    }
    np.savez(options.save, allow_pickle=False, **arrays)
    print(json.dumps(figures), flush=True)
    # Taking the networks apart again belongs to no measurement.
    os._exit(0)


if __name__ == "__main__":
    main()
