"""Gives way to other programs: two threads that wait for each other crawl when a third program holds a core.

Measured on two cores: 3.3 steps a second alone, 0.5 with a test suite beside it; on one thread it keeps about 1.8.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

STAT = Path("/proc/stat")
# Seconds between two looks.
EVERY = 1.5


class Threads:
    """Sets torch's thread count to what the rest of the machine leaves free. Does nothing where there is no /proc."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._seen = self._look() if STAT.exists() else None

    @staticmethod
    def _look() -> tuple[float, float, float]:
        """Now, this process's CPU seconds, and the machine's busy CPU seconds."""
        ticks = [int(value) for value in STAT.read_text().split("\n", 1)[0].split()[1:9]]
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        own = os.times()
        return time.monotonic(), own.user + own.system, busy

    def adapt(self) -> int:
        """Call once a step; returns the thread count in force."""
        if self._seen is None:
            return torch.get_num_threads()
        now = self._look() if time.monotonic() - self._seen[0] >= EVERY else None
        if now is not None:
            seconds = now[0] - self._seen[0]
            others = (now[2] - self._seen[2] - (now[1] - self._seen[1])) / seconds
            self._seen = now
            free = (os.cpu_count() or 1) - others
            # A core counts as free when others keep it busy for less than half of the time.
            wanted = min(self.most, max(1, int(free + 0.5)))
            if wanted != torch.get_num_threads():
                torch.set_num_threads(wanted)
        return torch.get_num_threads()
