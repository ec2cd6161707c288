"""What every benchmark tells of the machine and the code it ran on, and how it sums figures up."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "modelscope", "diffusers", "open_clip_torch", "safetensors", "av", "numpy")
# Before this process has done anything itself.
LOAD_AT_START = os.getloadavg()


def summary(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Median, smallest and largest of repeated measurements."""
    figures = {"median": statistics.median(values), "best": min(values), "worst": max(values)}
    # What takes microseconds must not become nothing.
    return {
        name: round(value, digits) if abs(value) >= 1 else float(f"{value:.{digits}g}")
        for name, value in figures.items()
    }


def describe_device(wanted: str) -> dict[str, Any]:
    cuda = torch.cuda.is_available() and wanted != "cpu"
    return {
        "asked_for": wanted,
        "kind": "cuda" if cuda else "cpu",
        "name": torch.cuda.get_device_name() if cuda else processor(),
        "cores": os.cpu_count(),
        "cuda": torch.version.cuda if cuda else None,
        "threads": torch.get_num_threads(),
        # Runnable processes over 1, 5 and 15 minutes: a busy machine's seconds are worth little.
        "load_average_at_start": [round(load, 2) for load in LOAD_AT_START],
    }


def processor() -> str:
    """The processor's own name where Linux tells it; platform.processor() is often empty."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str:
    """The commit, with "+changes" when the files differ from it; "unknown" outside a checkout."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+changes"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Whole or not at all: a run that is stopped leaves no half of a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    part.replace(path)
