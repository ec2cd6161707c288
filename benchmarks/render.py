"""How long one clip takes here: load a model, warm up, render and encode clips one after the other, print JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from generations.engine import load_engine
from generations.engine.card import DEMO_MODEL
from generations.engine.video import write_video

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.render")
    parser.add_argument("--model", default=str(DEMO_MODEL), help="a folder in ModelScope's format")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--steps", type=int, help="denoising steps; default: the model's own")
    parser.add_argument("--threads", type=int, help="CPU threads of torch; default: torch's own choice")
    options = parser.parse_args()
    if options.clips < 1:
        parser.error("--clips must be at least 1")
    if options.threads:
        torch.set_num_threads(options.threads)
    print(json.dumps(measure(options.model, options.device, options.clips, options.steps), indent=2))


def measure(model: str, device: str, clips: int, steps: int | None) -> dict[str, Any]:
    started = time.perf_counter()
    engine = load_engine(model, device)
    loading = time.perf_counter() - started
    card = engine.card
    changes = {"steps": steps} if steps else {}
    rendering, encoding = [], []
    with tempfile.TemporaryDirectory() as folder:
        # The first clip pays for what happens once (thread pools, CUDA kernels) and is not counted.
        for number in range(clips + 1):
            prompt = card.examples[number % len(card.examples)]
            spec = card.spec(prompt, seed=number, **changes)
            started = time.perf_counter()
            # Frames come back on the CPU, so the GPU has finished when this returns.
            [frames] = engine.render([spec], on_step=lambda done, total: None)
            rendered = time.perf_counter()
            write_video(frames, Path(folder) / f"{number}.mp4", spec.fps, upscale=card.upscale)
            if number:
                rendering.append(rendered - started)
                encoding.append(time.perf_counter() - rendered)
    return {
        "benchmark": "render",
        "commit": commit(),
        "model": card.name,
        "clip": {"frames": spec.frames, "width": spec.width, "height": spec.height, "steps": spec.steps},
        "clips": clips,
        "load_seconds": round(loading, 3),
        "render_seconds": summary(rendering),
        "encode_seconds": summary(encoding),
        "device": describe_device(device),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "modelscope", "open_clip_torch", "av", "numpy")},
        },
    }


def summary(seconds: list[float]) -> dict[str, float]:
    figures = {"median": statistics.median(seconds), "best": min(seconds), "worst": max(seconds)}
    return {name: round(value, 4) for name, value in figures.items()}


def describe_device(wanted: str) -> dict[str, Any]:
    cuda = torch.cuda.is_available() and wanted != "cpu"
    return {
        "asked_for": wanted,
        "name": torch.cuda.get_device_name() if cuda else processor(),
        "cores": os.cpu_count(),
        "cuda": torch.version.cuda if cuda else None,
        "threads": torch.get_num_threads(),
    }


def processor() -> str:
    """The processor's own name where Linux tells it; platform.processor() is often empty."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """The commit, with "+changes" when the files differ from it; "unknown" outside a checkout."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+changes"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    main()
