"""Ways to run the UNet with less work on the host: CUDA graphs and torch.compile, each with static shapes.

A pass is about a thousand kernels, most of them shorter on a large card than the time that Python takes to launch
them. A CUDA graph is recorded once per shape and launched as a whole; torch.compile joins kernels besides, and takes
minutes and a C compiler before the first clip. Whatever does not work on a machine is told once and done plainly.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from generations.engine.base import ACCELERATIONS, NOT_AVAILABLE, EngineError
from generations.engine.modelscope.device import is_out_of_memory, release_cached_memory
from generations.engine.modelscope.unet import TextContext

logger = logging.getLogger(__name__)

# Each recorded graph keeps the memory of its activations to itself.
GRAPHS_KEPT = 2
# Runs before a recording: libraries choose their kernels and allocate their workspaces then, which cannot be recorded.
WARM_UP_RUNS = 2


class CudaGraph:
    """Work on tensors of fixed shapes, recorded once on the current CUDA device and launched as a whole."""

    def __init__(self, work: Callable[[Sequence[Tensor]], Tensor], inputs: Sequence[Tensor]) -> None:
        self._inputs = [value.clone() for value in inputs]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                work(self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = work(self._inputs)

    def set(self, place: int, value: Tensor) -> None:
        self._inputs[place].copy_(value)

    def run(self) -> Tensor:
        """Return the result; a copy, because the next run writes over the graph's own."""
        self._graph.replay()
        return self._output.clone()


class Accelerated:
    """UNet.denoise, accelerated. Results are plain denoise's up to float tolerance."""

    def __init__(self, unet: Any, mode: str, device: torch.device) -> None:
        """unet: a UNet. mode: one of ACCELERATIONS; "auto" is graphs on CUDA. On the CPU there are no graphs."""
        if mode not in ACCELERATIONS:
            message = f"ENGINE_ACCELERATION must be one of {', '.join(ACCELERATIONS)}, not {mode!r}."
            raise EngineError(message, public_reason=NOT_AVAILABLE)
        on_gpu = device.type == "cuda"
        self.unet = unet
        self._graphs: OrderedDict[Any, tuple[CudaGraph, TextContext]] = OrderedDict()
        self._use_graphs = on_gpu and mode != "off"
        self._compiled: Callable[..., Tensor] | None = None
        if mode == "compile":
            self._compiled = torch.compile(unet.denoise, dynamic=False)

    @property
    def on(self) -> bool:
        return self._use_graphs or self._compiled is not None

    def __call__(self, latents: Tensor, time: Tensor, text: TextContext, prompts_at_once: int) -> Tensor:
        """As UNet.denoise."""
        if self.on:
            try:
                if self._use_graphs:
                    return self._by_graph(latents, time, text, prompts_at_once)
                assert self._compiled is not None
                return self._compiled(latents, time, text, prompts_at_once)
            except Exception as error:  # compilers and drivers fail in many ways, and the plain way is always open
                self.forget()
                if is_out_of_memory(error):
                    raise
                self.switch_off(f"{type(error).__name__}: {error}".partition("\n")[0])
        return self.unet.denoise(latents, time, text, prompts_at_once)

    def switch_off(self, reason: str) -> None:
        """Run plainly from now on."""
        logger.warning("acceleration is switched off: %s", reason)
        self._use_graphs, self._compiled = False, None
        self.forget()

    def forget(self) -> None:
        """Let go of everything recorded: its memory, and weights that are about to be replaced."""
        self._graphs.clear()
        release_cached_memory()

    def _by_graph(self, latents: Tensor, time: Tensor, text: TextContext, prompts_at_once: int) -> Tensor:
        key = (latents.shape, time.shape, text.keys[0].shape, prompts_at_once)
        denoise = self._compiled or self.unet.denoise
        layers = len(text.keys)

        def work(inputs: Sequence[Tensor]) -> Tensor:
            keys, values = list(inputs[2 : 2 + layers]), list(inputs[2 + layers :])
            return denoise(inputs[0], inputs[1], TextContext(keys, values), prompts_at_once)

        inputs = [latents, time, *text.keys, *text.values]
        if key not in self._graphs:
            while len(self._graphs) >= GRAPHS_KEPT:
                self._graphs.popitem(last=False)
            self._graphs[key] = CudaGraph(work, inputs), text
        graph, last_text = self._graphs[key]
        # The text stays for all steps of a request.
        changed = range(len(inputs)) if last_text is not text else range(2)
        for place in changed:
            graph.set(place, inputs[place])
        self._graphs[key] = graph, text
        self._graphs.move_to_end(key)
        return graph.run()
