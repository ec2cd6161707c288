"""The engine's real interface, without a model. What it does is written in the prompt, so each job has its own fault.

!seconds=2     sleep so long in all
!die=3         kill this process after step 3, each time; !die-once=3 only on the first attempt
!hang=2        never come back from C, with the interpreter free; !hang-gil=2 with it locked
!raise=1       and !exit=1, !memory=1 end all that is rendered together; !nan=1 (may pass, so tried again) and
               !broken=1 (will not pass) end one
!die-before-row, !die-after-row      when the file lies in the storage, before or after the row says so
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from generations.engine.base import EngineError, Outcome, RenderCancelled, StepCallback, VideoSpec
from generations.engine.card import ModelCard

CARD = replace(ModelCard(), name="stand-in", frames=4, width=64, height=64, steps=10, size_multiple=8)
BROKEN_REASON = "The stand-in engine cannot make this."


def orders(prompt: str) -> dict[str, float]:
    """The words that begin with an exclamation mark."""
    words = [word[1:].partition("=") for word in prompt.split() if word.startswith("!")]
    return {name: float(value or 1) for name, _, value in words}


class Journal:
    """What was rendered, kept where the process's death does not matter."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "engine.jsonl"

    def note(self, event: str, prompt: str) -> None:
        line = json.dumps({"event": event, "prompt": prompt, "pid": os.getpid(), "at": time.time()}) + "\n"
        with self.path.open("a") as journal:
            journal.write(line)

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def count(self, event: str, prompt: str) -> int:
        return sum(entry["event"] == event and entry["prompt"] == prompt for entry in self.read())


class StandInEngine:
    def __init__(self, folder: Path) -> None:
        self.card = CARD
        self.journal = Journal(folder)

    def render(self, specs: Sequence[VideoSpec], on_step: StepCallback) -> list[Outcome]:
        for spec in specs:
            self.journal.note("begin", spec.prompt)
        wanted = [orders(spec.prompt) for spec in specs]
        ended: dict[int, Outcome] = {}
        for done in range(1, specs[0].steps + 1):
            time.sleep(max(own.get("seconds", 0.2) for own in wanted) / specs[0].steps)
            for place, spec in enumerate(specs):
                if place in ended:
                    continue
                self._step(done, wanted[place], spec)
                try:
                    self._own_step(done, wanted[place])
                    on_step(place, done, spec.steps)
                except (EngineError, RenderCancelled) as error:
                    ended[place] = error
            if len(ended) == len(specs):
                break
        for place, spec in enumerate(specs):
            if place not in ended:
                self.journal.note("end", spec.prompt)
        return [ended.get(place, self._frames(spec)) for place, spec in enumerate(specs)]

    def together(self, spec: VideoSpec, most: int | None = None) -> int:
        return most or 1

    def _step(self, done: int, wanted: dict[str, float], spec: VideoSpec) -> None:
        due = {name for name, step in wanted.items() if step == done}
        if "die" in due or ("die-once" in due and self.journal.count("begin", spec.prompt) == 1):
            die()
        if "hang" in due:
            ctypes.CDLL(None).sleep(3600)
        if "hang-gil" in due:
            ctypes.PyDLL(None).sleep(3600)
        if "raise" in due:
            raise RuntimeError("the stand-in engine was told to raise")
        if "exit" in due:
            sys.exit(3)
        if "memory" in due:
            raise EngineError("out of memory", public_reason=BROKEN_REASON, retryable=True)

    def _own_step(self, done: int, wanted: dict[str, float]) -> None:
        due = {name for name, step in wanted.items() if step == done}
        if "nan" in due:
            raise EngineError("non-finite output", public_reason=BROKEN_REASON, retryable=True)
        if "broken" in due:
            raise EngineError("broken", public_reason=BROKEN_REASON)

    def _frames(self, spec: VideoSpec) -> npt.NDArray[np.uint8]:
        shape = (spec.frames, spec.height, spec.width, 3)
        return np.random.default_rng(spec.seed).integers(0, 255, shape, np.uint8)

    def describe_device(self) -> str:
        return "stand-in"

    def ignored_text(self, prompt: str) -> str:
        return ""

    def self_test(self) -> None:
        pass


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
