"""The recipe from words to frames. Replaces ModelScope's own pipeline, which no longer runs on current packages."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from generations.engine.base import (
    NOT_AVAILABLE,
    CheckpointError,
    EngineError,
    Outcome,
    RenderCancelled,
    StepCallback,
    VideoSpec,
    gettext_noop,
)
from generations.engine.card import LATENT_STRIDE, InvalidSpec, ModelCard, read_card
from generations.engine.modelscope import memory, sampler
from generations.engine.modelscope.acceleration import Accelerated
from generations.engine.modelscope.autoencoder import decode, portions
from generations.engine.modelscope.clips import Clip, Texts, joined, parted
from generations.engine.modelscope.configuration import CONTEXT_DIM, LATENT_CHANNELS
from generations.engine.modelscope.device import Shrinking, choose_device, out_of_memory_told
from generations.engine.modelscope.lora import with_lora
from generations.engine.modelscope.operations import use_channels_last
from generations.engine.modelscope.text_encoder import TextEncoder
from generations.engine.modelscope.unet import Below, TextContext
from generations.engine.modelscope.weights import Networks, load_networks
from generations.engine.presets import PRESETS, Preset, Work

BROKEN = gettext_noop("The video came out broken. Please try again, perhaps with another seed or a lower guidance.")
TOO_BIG = gettext_noop(
    "This video needs more memory than the machine has. Please ask for fewer frames or a smaller size."
)
# Checked when it was asked for, with another model or other limits.
NO_LONGER = gettext_noop("The model that is here now cannot make this video. Please send the prompt again.")
# A smaller UNet than this is rendered by one CPU thread. Its operations are so short that a second thread saves one
# second per clip on an idle machine, and on a busy one each waits for the other to be scheduled: 503 s instead of 7 s.
SMALL_NETWORK = 20_000_000
# Clips that share passes unless the operator says another number. On a GPU, where a small clip's kernels are shorter
# than their launches, a pass for four launches no more of them than a pass for one. On the CPU sharing saves a tenth
# (the demo model on one thread: 2.80 s of its time per clip alone, 2.52 in pairs, 2.58 in fours), and makes whoever is
# first wait for all the others.
SHARED_ON_CUDA, SHARED_ON_CPU = 4, 1
# Tokens of each prompt in the self-test, start and end tokens included.
SELF_TEST_TOKENS = 8


class ModelScopeEngine:
    """base.Engine on ModelScope's networks. Load one per process; use it from one thread."""

    def __init__(
        self,
        model: str | Path,
        device: str = "auto",
        turbo_lora: str | Path = "",
        acceleration: str = "auto",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Load a model folder. dtype: float32 on the CPU and float16 on CUDA unless given.

        turbo_lora: a few-step LoRA (lora.py) for the preset turbo, which is refused without one.
        acceleration: one of base.ACCELERATIONS (acceleration.py).
        Raises CheckpointError with every fault of the folder, or EngineError (no such device, not enough memory).
        """
        self.device = choose_device(device)
        self.dtype = dtype or (torch.float16 if self.device.type == "cuda" else torch.float32)
        if self.device.type == "cuda":
            # The same request must give the same frames; the fastest convolution is not always a repeatable one.
            torch.backends.cudnn.deterministic = True
        with out_of_memory_told(f"Not enough memory to load {model} on {self.device}", NOT_AVAILABLE):
            self.card, networks = _load(Path(model), self.device, self.dtype)
            self.text_encoder = TextEncoder(networks.text_tower)
            for network in (networks.unet, networks.autoencoder):
                use_channels_last(network)
            self.turbo = with_lora(networks.unet, networks.configuration.unet, Path(turbo_lora)) if turbo_lora else None
        if self.turbo is not None:
            self.card = replace(self.card, presets=tuple(PRESETS))
        self.unet: Any = networks.unet
        self.accelerated = Accelerated(self.unet, acceleration, self.device)
        self.autoencoder = networks.autoencoder
        if self.device.type == "cpu" and sum(weight.numel() for weight in self.unet.parameters()) < SMALL_NETWORK:
            torch.set_num_threads(1)
        # What together() answers unless it is told.
        self.shared = SHARED_ON_CUDA if self.device.type == "cuda" else SHARED_ON_CPU
        self.configuration = networks.configuration
        self.num_timesteps = networks.configuration.num_timesteps
        self.alphas = sampler.alphas_cumprod(self.num_timesteps)

    def render(self, specs: Sequence[VideoSpec], on_step: StepCallback) -> list[Outcome]:
        """Return one outcome per spec, in order: frames (frames, height, width, 3), uint8, RGB, or what ended it.

        Specs advance together, step by step, and share passes through the UNet as far as memory allows. Nothing that
        one of them meets reaches the others; how many share a pass changes low bits at most. What overflows in half
        precision is rendered once more in full precision; on_step then counts from the start again for that spec.
        Raises EngineError for what concerns all (not enough memory), or what on_step raises beside RenderCancelled.
        """
        # 1. Check inputs.
        outcomes = self._check(specs)
        chosen = {place: spec for place, spec in enumerate(specs) if place not in outcomes}
        if chosen:
            self._check_memory(specs[0])
            with out_of_memory_told(f"Not enough memory on {self.device} for {_size(specs[0])}", TOO_BIG):
                with self._weights_of(PRESETS[specs[0].preset]):
                    outcomes |= self._render(chosen, on_step)
                    again = {place: chosen[place] for place in chosen if isinstance(outcomes[place], NotFinite)}
                    if again and self.dtype != torch.float32:
                        with self._full_precision():
                            outcomes |= self._render(again, on_step)
        return [outcomes[place] for place in range(len(specs))]

    @torch.inference_mode()
    def _render(self, specs: Mapping[int, VideoSpec], on_step: StepCallback) -> dict[int, Outcome]:
        """Return the outcome of each spec by its place."""
        outcomes: dict[int, Outcome] = {}
        [size, *_] = specs.values()

        # 2. Encode text, and 4. draw noise.
        clips = [self.clip(spec, place) for place, spec in specs.items()]

        # 3. Timesteps, and what depends on them alone.
        preset = PRESETS[size.preset]
        visits = sampler.visits(preset.sampler, size.steps, self.num_timesteps)
        times = self.time_table([t for t, _ in visits])

        # 5. Denoising loop; the preset says what each step computes, and earlier steps leave some of it for later ones.
        texts, prompts_at_once = Texts(), self._prompts_at_once(size, len(clips))
        steps = zip(visits, times, preset.plan(len(visits)), strict=True)
        for done, ((t, t_prev), time, work) in enumerate(steps, start=1):
            predictions = self.estimate(clips, time, work, texts, prompts_at_once, preset.deep_every > 1)
            for clip, prediction in zip(clips, predictions, strict=True):
                more_noise = functools.partial(self.noise, clip.spec, clip.generator)
                clip.latents, clip.before = sampler.advance(
                    preset.sampler, prediction, t, t_prev, clip.latents, self.alphas, clip.before, more_noise
                )
            # Waits for the GPU, once per step: progress is true and a cancel takes effect.
            finite = torch.stack([torch.isfinite(clip.latents).all() for clip in clips]).tolist()
            for clip, good in zip(list(clips), finite, strict=True):
                try:
                    if not good:
                        raise NotFinite(f"latents after step {done} of {len(visits)}", clip.spec)
                    on_step(clip.place, done, len(visits))
                except (NotFinite, RenderCancelled) as error:
                    # Its traceback would keep the tensors of the others.
                    outcomes[clip.place] = error.with_traceback(None)
                    clips.remove(clip)
            if not clips:
                return outcomes

        # 6. Decode, and 7. to 8 bits per channel.
        for number, clip in enumerate(clips):
            try:
                if number:
                    # Those before took a while: a sign of life, and a last look for a cancel.
                    on_step(clip.place, len(visits), len(visits))
                outcomes[clip.place] = self._to_frames(self.decode(clip.latents), clip.spec)
            except (NotFinite, RenderCancelled) as error:
                outcomes[clip.place] = error.with_traceback(None)
        return outcomes

    def clip(self, spec: VideoSpec, place: int = 0) -> Clip:
        """Return the spec at its beginning: text, and noise drawn on the CPU by a generator of its own."""
        generator = torch.Generator("cpu").manual_seed(spec.seed)
        text = self.text_context(spec.negative_prompt, spec.prompt)
        return Clip(place, spec, text, self.noise(spec, generator), generator)

    def together(self, spec: VideoSpec, most: int | None = None) -> int:
        """Return how many requests of spec's size to hand to one render: most, or fewer where memory holds no more.

        most: as many as pay on this machine, unless given.
        """
        return max(1, self._fitting(spec, most or self.shared))

    def encode(self, negative_prompt: str, prompt: str) -> Tensor:
        """Return text features (2, tokens, 1024): unconditional first, each encoded on its own, or remembered."""
        return torch.cat([self.text_encoder.features(text) for text in (negative_prompt, prompt)])

    def text_context(self, negative_prompt: str, prompt: str) -> TextContext:
        """Return what the UNet reads of the two texts: computed once per request."""
        context: TextContext = self.unet.text_context(self.encode(negative_prompt, prompt))
        return context

    def time_table(self, timesteps: Sequence[int]) -> tuple[Tensor, ...]:
        """Return what the UNet reads of each timestep, one row (1, n) each."""
        table: Tensor = self.unet.time_table(torch.tensor(timesteps, device=self.device))
        return table.split(1)

    def noise(self, spec: VideoSpec, generator: torch.Generator | None = None) -> Tensor:
        """Return latents (1, 4, frames, height/8, width/8), float32: the seed's noise, the same on every machine.

        generator: of the spec's seed, for more noise than the first; on the CPU.
        """
        generator = generator or torch.Generator("cpu").manual_seed(spec.seed)
        shape = (1, LATENT_CHANNELS, spec.frames, spec.height // LATENT_STRIDE, spec.width // LATENT_STRIDE)
        return torch.randn(shape, generator=generator).to(self.device)

    def estimate(
        self,
        clips: Sequence[Clip],
        time: Tensor,
        work: Work,
        texts: Texts,
        prompts_at_once: Shrinking,
        reuses: bool = False,
    ) -> list[Tensor]:
        """Return the guided noise estimate (1, 4, F, h, w), float32, of one step per clip, computing what work says.

        When memory runs out, fewer clips share a pass, then both prompts of a clip go one after the other: now and from
        then on. reuses: some step of the plan is not deep, so the others leave what it needs.
        """

        def estimates(prompts: int) -> list[Tensor]:
            size = max(1, prompts // 2)
            groups = [clips[first : first + size] for first in range(0, len(clips), size)]
            return [found for group in groups for found in self._pass(group, time, work, texts, prompts, reuses)]

        return [
            self._guided(clip, found, work.guided)
            for clip, found in zip(clips, prompts_at_once.attempt(estimates), strict=True)
        ]

    def _pass(
        self, clips: Sequence[Clip], time: Tensor, work: Work, texts: Texts, prompts: int, reuses: bool
    ) -> list[Tensor]:
        """Return the estimates (1 or 2, 4, F, h, w) of each clip, all from one pass."""
        text = texts.of(clips, work.guided)
        latents = torch.cat([clip.latents for clip in clips])
        below = None
        if reuses:
            # Both prompts of a whole pass, or what is still computed of them.
            last = [clip.below[-(len(text) // len(clips)) :] for clip in clips if clip.below is not None]
            below = Below(joined(last) if last and not work.deep else None)
        at_once = 1 if prompts == 1 else len(text)
        found = self.denoise(latents, time, text, at_once, below, work.deep)
        if below is not None and below.x is not None and work.deep:
            for clip, own in zip(clips, parted(below.x, len(clips)), strict=True):
                clip.below = own
        return parted(found, len(clips))

    def _guided(self, clip: Clip, estimates: Tensor, guided: bool) -> Tensor:
        scale = clip.spec.guidance_scale
        if not guided:
            # A plan without any guided step is for weights that were trained to need none.
            return estimates if clip.difference is None else sampler.guide_again(estimates, clip.difference, scale)
        unconditional, conditional = estimates.chunk(2)
        clip.difference = conditional - unconditional
        return sampler.guide(unconditional, conditional, scale)

    def denoise(
        self,
        latents: Tensor,
        time: Tensor,
        text: TextContext,
        prompts_at_once: int | None = None,
        below: Below | None = None,
        deep: bool = True,
    ) -> Tensor:
        """Return noise estimates (prompts, 4, F, h, w), float32, as UNet.denoise does, accelerated where that is on.

        Without deep, only the outermost level of the UNet runs, on what the last deep call with this below has left
        there.
        """
        at_once = prompts_at_once or len(text)
        if below is None and self.unet is self.accelerated.unet:
            return self.accelerated(latents, time, text, at_once).float()
        if deep:
            return self.unet.denoise(latents, time, text, at_once, below).float()
        return self.unet.denoise_outermost(latents, time, text, at_once, below).float()

    def predict(self, latents: Tensor, t: int, context: Tensor) -> Tensor:
        """As denoise, from a timestep and text features (B, tokens, 1024), everything computed anew."""
        [time] = self.time_table([t])
        text = self.unet.text_context(context)
        return Shrinking(len(text), 1).attempt(lambda at_once: self.denoise(latents, time, text, at_once))

    def decode(self, latents: Tensor) -> Tensor:
        """Return pixels (F, 3, H, W), float32, about -1..1, from latents (1, 4, F, h, w)."""
        ladder = Shrinking(*portions(latents.shape, self.device.type))
        return ladder.attempt(lambda frames: decode(self.autoencoder, latents, frames))

    def plan(self, spec: VideoSpec, requests: int = 1) -> memory.Plan:
        """Return how many bytes the worker's weights take, and how many rendering so many such requests adds."""
        return memory.plan((self.text_encoder.tower, self.unet, self.autoencoder), self.configuration, spec, requests)

    def describe_device(self) -> str:
        try:
            taken, total = memory.in_use(self.device)
        except (OSError, RuntimeError):
            return str(self.device)
        name = f"{self.device} ({torch.cuda.get_device_name(self.device)})" if total else str(self.device)
        return f"{name}, {taken / 1e9:.1f} {f'of {total / 1e9:.1f} ' if total else ''}GB in use"

    def ignored_text(self, prompt: str) -> str:
        """Return the tail of the prompt that the text encoder cannot see ("" when all of it fits)."""
        return self.text_encoder.ignored_text(prompt)

    def self_test(self) -> None:
        """Prove that words reach the network and pixels leave it; raises EngineError naming what does not work.

        Catches a text tower run along the wrong axis, text that has no effect, and broken weights.
        """
        with (
            out_of_memory_told(f"Not enough memory on {self.device} for the self-test", NOT_AVAILABLE),
            torch.inference_mode(),
        ):
            # Nearly every request needs the empty prompt: the first one, too, finds it encoded.
            alone = self.text_encoder.features("").float()
            # At a start, all that counts is that each weight is read once: a few tokens, and the smallest clip.
            together = self.text_encoder.encode(["a red circle", ""], SELF_TEST_TOKENS).float()
            expected = (1, self.text_encoder.tower.config.context_length, CONTEXT_DIM)
            _require(tuple(alone.shape) == expected, f"text features are {tuple(alone.shape)}, expected {expected}")
            _require(bool(torch.isfinite(together).all()), "text features are not finite")
            scale = float(alone.abs().max())
            _require(
                _distance(alone[0, :SELF_TEST_TOKENS], together[1]) <= 0.02 * scale,
                "a prompt's features depend on its batch",
            )
            # Both begin with the start token; a causal tower sees no further there.
            _require(_distance(together[0, 0], together[1, 0]) <= 0.02 * scale, "the text tower looks ahead")
            _require(_distance(together[0], together[1]) > 0, "two prompts have the same text features")

            spec = VideoSpec(prompt="a red circle", seed=0, frames=2, width=32, height=32)
            noise = self.noise(spec)
            first, second = self.predict(noise, self.num_timesteps - 1, together).chunk(2)
            _require(bool(torch.isfinite(first).all()), "non-finite output of the UNet")
            _require(_distance(first, second) > 0, "two prompts with one seed give the same prediction")
            if self.accelerated.on:
                self._try_acceleration(noise, together, torch.cat([first, second]))
            pixels = self.decode(noise[:, :, :1])
            _require(bool(torch.isfinite(pixels).all()), "non-finite output of the autoencoder")

    def _try_acceleration(self, noise: Tensor, features: Tensor, accelerated: Tensor) -> None:
        """Hold an accelerated estimate against a plain one, and leave the acceleration where they differ."""
        [time] = self.time_table([self.num_timesteps - 1])
        plain = self.unet.denoise(noise, time, self.unet.text_context(features)).float()
        if _distance(accelerated, plain) > 0.05 * float(plain.std()):
            self.accelerated.switch_off("its estimates are not those of the network")

    @contextlib.contextmanager
    def _weights_of(self, preset: Preset) -> Iterator[None]:
        """Compute with the UNet that the preset is made for."""
        own = self.unet
        if preset.lora:
            assert self.turbo is not None, "the card offers no preset whose weights are missing"
            self.unet = self.turbo
        try:
            yield
        finally:
            self.unet = own

    @contextlib.contextmanager
    def _full_precision(self) -> Iterator[None]:
        """Compute in float32 for a while. float16 weights come back from it as they were, bit for bit."""
        networks = (self.text_encoder.tower, self.unet, self.autoencoder)
        self.accelerated.forget()
        try:
            for network in networks:
                network.float()
            self.text_encoder.features.cache_clear()
            yield
        finally:
            for network in networks:
                network.to(self.dtype)
            self.accelerated.forget()
            self.text_encoder.features.cache_clear()

    def _check(self, specs: Sequence[VideoSpec]) -> dict[int, Outcome]:
        """Return the refusals, by place."""
        if not specs:
            raise ValueError("render needs at least one spec")
        if len({(spec.frames, spec.width, spec.height, spec.steps, spec.preset) for spec in specs}) > 1:
            raise ValueError("specs rendered together must share frames, width, height, steps and preset")
        refused: dict[int, Outcome] = {}
        for place, spec in enumerate(specs):
            try:
                self.card.check(spec)
            except InvalidSpec as error:
                refused[place] = EngineError(str(error), public_reason=NO_LONGER)
        return refused

    def _fitting(self, spec: VideoSpec, most: int) -> int:
        """Return how many clips one pass with both their prompts holds, up to most; 0 when not even one."""
        free = memory.free_memory(self.device)
        fitting = (n for n in range(most, 0, -1) if free is None or self.plan(spec, n).pair <= free)
        return next(fitting, 0)

    def _prompts_at_once(self, spec: VideoSpec, clips: int) -> Shrinking:
        """Both prompts of as many clips in one pass as fit; then half as many, down to one prompt."""
        portions, fitting = [1], self._fitting(spec, clips)
        while fitting:
            portions.append(2 * fitting)
            fitting //= 2
        return Shrinking(*sorted(portions, reverse=True))

    def _check_memory(self, spec: VideoSpec) -> None:
        """Refuse what does not fit, rather than let the system kill the worker over it."""
        needed, free = self.plan(spec).least, memory.free_memory(self.device)
        if free is not None and needed > free:
            message = (
                f"Not enough memory on {self.device} for {_size(spec)}: "
                f"it takes {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free"
            )
            raise EngineError(message, public_reason=TOO_BIG)

    def _to_frames(self, pixels: Tensor, spec: VideoSpec) -> npt.NDArray[np.uint8]:
        if not torch.isfinite(pixels).all():
            raise NotFinite("decoded frames", spec)
        # As upstream's tensor2vid, but rounded where it cuts off.
        levels = (pixels * 0.5 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
        frames: npt.NDArray[np.uint8] = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return frames


def _load(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[ModelCard, Networks]:
    """Read the card and load the networks; a fault of the one does not hide those of the other."""
    problems: list[str] = []
    try:
        card = read_card(folder)
    except CheckpointError as error:
        problems += error.problems
    try:
        networks = load_networks(folder, device, dtype)
    except CheckpointError as error:
        problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise CheckpointError(problems)
    return card, networks


class NotFinite(EngineError):
    """NaN or infinity where numbers should be: never a black video."""

    def __init__(self, what: str, spec: VideoSpec) -> None:
        message = f"non-finite output: {what} (seed {spec.seed}, guidance {spec.guidance_scale:g})"
        super().__init__(message, public_reason=BROKEN, retryable=True)


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise EngineError(f"Self-test failed: {complaint}.", public_reason=NOT_AVAILABLE)


def _distance(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().max())


def _size(spec: VideoSpec) -> str:
    return f"{spec.frames} frames of {spec.width}x{spec.height}"
