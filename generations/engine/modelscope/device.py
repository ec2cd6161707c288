"""Which processor renders, and what to say when there is none or its memory is full."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from generations.engine.base import NOT_AVAILABLE, EngineError

T = TypeVar("T")


def choose_device(name: str) -> torch.device:
    """Return the device for DEVICE's value: "auto" (a GPU when there is one), "cpu", "cuda" or "cuda:N".

    Raises EngineError with one line when the value is not one of these or the GPU is not there: a worker must stop at
    its start, not fail job by job.
    """
    wanted = name.strip().lower()
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", wanted):
        raise EngineError(f"DEVICE must be auto, cpu, cuda or cuda:N, not {name!r}.", public_reason=NOT_AVAILABLE)
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and not available):
        return torch.device("cpu")
    index = int(wanted.partition(":")[2] or 0)
    if index >= available:
        seen = f"torch {torch.__version__} sees {available or 'no'} CUDA GPU{'' if available == 1 else 's'}"
        raise EngineError(f"DEVICE is {name}, but {seen} here.", public_reason=NOT_AVAILABLE)
    return torch.device("cuda", index)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a full memory from other failures: Python's error, torch's for CUDA, and torch's bare text for the CPU."""
    text = str(error).lower()
    told = "can't allocate memory" in text or "cannot allocate memory" in text
    return told or isinstance(error, MemoryError | torch.OutOfMemoryError)


@contextlib.contextmanager
def out_of_memory_told(message: str, public_reason: str) -> Iterator[None]:
    """Turn every way in which torch runs out of memory into one EngineError."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        release_cached_memory()
        first_line = str(error).partition("\n")[0] or type(error).__name__
        raise EngineError(f"{message}: {first_line}", public_reason=public_reason) from error


def release_cached_memory() -> None:
    """Give back what torch keeps of a GPU's memory for later."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class Shrinking:
    """Does work in portions, and in smaller ones once memory has run out: Shrinking(4, 2, 1)."""

    def __init__(self, *portions: int) -> None:
        self.portions = list(portions)

    def attempt(self, work: Callable[[int], T]) -> T:
        """Return work(portion) for the largest portion that fits from here on; raises what the smallest one raises."""
        while True:
            try:
                return work(self.portions[0])
            except (RuntimeError, MemoryError, OSError) as error:
                if not is_out_of_memory(error) or len(self.portions) == 1:
                    raise
            # Outside of the handler: the error's traceback holds on to what was computed so far.
            self.portions.pop(0)
            release_cached_memory()
