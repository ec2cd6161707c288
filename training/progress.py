"""A stage's clock, log lines and checkpoints: a stage is a budget of seconds, spent in one sitting or in several."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch


class Stage:
    """One training stage. Its clock counts training time only, over all sittings; checkpoints make it resumable."""

    def __init__(self, run: Path, name: str, seconds: float, *, save_every: float = 60) -> None:
        self.run, self.name, self.seconds, self.save_every = run, name, seconds, save_every
        self.step = 0
        self._spent = 0.0
        self._resumed_at = time.monotonic()
        self._saved_at = self._logged_at = 0.0
        run.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path:
        return self.run / f"{self.name}.pt"

    @property
    def spent(self) -> float:
        return self._spent + time.monotonic() - self._resumed_at

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the budget is spent."""
        return min(1.0, self.spent / self.seconds) if self.seconds else 1.0

    def load(self) -> dict[str, Any] | None:
        """Return the last checkpoint, with the clock and the step count set from it, or None on a fresh start."""
        if not self.path.exists():
            return None
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        self.step, self._spent = int(state["step"]), float(state["spent"])
        self._resumed_at = time.monotonic()
        self._saved_at = self._logged_at = self._spent
        return state

    def save(self, **state: Any) -> None:
        """Write a checkpoint; a crash while writing leaves the previous one intact."""
        partial = self.path.with_suffix(".partial")
        torch.save({"step": self.step, "spent": self.spent, **state}, partial)
        partial.replace(self.path)
        self._saved_at = self.spent

    def due(self) -> bool:
        """Is it time for another checkpoint?"""
        return self.spent - self._saved_at >= self.save_every

    def log(self, text: str) -> None:
        """Print a line and append it to the run's log."""
        left = max(0, self.seconds - self.spent)
        line = f"{time.strftime('%H:%M:%S')} {self.name} step {self.step}, {left / 60:.1f} min left: {text}"
        print(line, flush=True)
        with (self.run / "log.txt").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def log_every(self, seconds: float) -> bool:
        """True at most once in that many seconds of training."""
        if self.spent - self._logged_at < seconds:
            return False
        self._logged_at = self.spent
        return True


def cosine(progress: float, peak: float, *, floor: float = 0.02, warmup: float = 0.02) -> float:
    """Learning rate after that share of the budget: linear warm-up, then a cosine down to floor * peak."""
    if progress < warmup:
        return peak * max(0.05, progress / warmup)
    x = (progress - warmup) / (1 - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + float(torch.cos(torch.tensor(x * torch.pi)))))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set every group's learning rate; a group's "scale" multiplies it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
