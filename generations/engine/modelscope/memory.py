"""How much memory a clip takes, told before it is rendered: a refusal in words instead of a killed worker.

All activations of the UNet are alive in proportion to (frames x latent cells x width of its first level), those of the
decoder to (pixels x its narrowest width). The factors were counted with a dispatch mode that adds up the bytes of all
live tensors, on the 1.7B network at 16x8x8, 16x32x32 and 32x72x72 latents, where they agree within 3 % but for the
smallest, of which the text takes a third.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from generations.engine.base import VideoSpec
from generations.engine.card import LATENT_STRIDE
from generations.engine.modelscope.autoencoder import CELLS_AT_ONCE
from generations.engine.modelscope.configuration import Configuration

# Live at once in the UNet with one prompt at a time, and with both; in the decoder.
UNET_ALONE, UNET_PAIR, DECODER = 26, 41, 7
# What the arithmetic libraries and torch's allocator take beside, as a part of the above.
RESERVE = 0.15

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Plan:
    """Bytes. weights: of all networks, in memory for as long as the worker lives; the others come on top for a render.

    least: denoising with one prompt at a time, or decoding, whichever takes more. pair: denoising with both at once.
    """

    weights: int
    least: int
    pair: int


def plan(networks: Sequence[nn.Module], configuration: Configuration, spec: VideoSpec, requests: int = 1) -> Plan:
    """Return what so many requests of spec's size in one pass take with these networks, in their weights' dtype."""
    weights = [weight for network in networks for weight in network.parameters()]
    itemsize = weights[0].element_size()
    unet, decoder = configuration.unet, configuration.autoencoder
    cells = (spec.width // LATENT_STRIDE) * (spec.height // LATENT_STRIDE)
    unit = requests * spec.frames * cells * unet["dim"] * max(1, unet["dim_mult"][0]) * itemsize
    # Decoding takes one frame at a time when it must, but as many as give one of 256x256 anyway.
    decoded = max(cells, min(spec.frames * cells, CELLS_AT_ONCE["cpu"])) * LATENT_STRIDE**2
    decoding = DECODER * decoded * decoder["ch"] * decoder["ch_mult"][0] * itemsize
    # The finished frames, float32 and three channels, twice while they are put together.
    clip = 2 * spec.frames * cells * LATENT_STRIDE**2 * 3 * 4
    # The weights of one layer may be rearranged for its convolution.
    layer = max(weight.numel() for weight in weights) * itemsize

    def with_reserve(activations: int) -> int:
        return int(activations * (1 + RESERVE)) + layer

    return Plan(
        weights=sum(weight.numel() * weight.element_size() for weight in weights),
        least=with_reserve(max(UNET_ALONE * unit, decoding + clip)),
        pair=with_reserve(UNET_PAIR * unit),
    )


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that this process can still have on the device, or None where nobody says."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    found = [_available(), _left_in_container(), _left_in_limit()]
    return min((bytes_ for bytes_ in found if bytes_ is not None), default=None)


def in_use(device: torch.device) -> tuple[int, int | None]:
    """Return the bytes taken on a GPU by everybody, and in all; on a CPU those of this process, and None."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free, total
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize(), None


def _available() -> int | None:
    """What Linux says it could hand out without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        [line] = [line for line in lines if line.startswith("MemAvailable:")]
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None


def _left_in_container() -> int | None:
    """What a container's own limit leaves; file pages that it could drop count as free."""
    try:
        limit = int((CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
        statistics = dict(line.split() for line in (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, limit - used + int(statistics.get("inactive_file", 0)))
    except (OSError, ValueError):
        # "max" is no number: no limit.
        return None


def _left_in_limit() -> int | None:
    """What `ulimit -v` leaves."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return None
    return max(0, limit - pages * resource.getpagesize())
