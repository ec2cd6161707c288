"""How long one clip takes here: load a model, warm up, render and encode clips one after the other, print JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import commit, describe_device, summary, versions, write_result
from generations.engine import load_engine
from generations.engine.base import render_one
from generations.engine.card import DEMO_MODEL
from generations.engine.video import write_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.render")
    parser.add_argument("--model", default=str(DEMO_MODEL), help="a folder in ModelScope's format")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--steps", type=int, help="denoising steps; default: the model's own")
    parser.add_argument("--threads", type=int, help="CPU threads of torch; default: torch's own choice")
    parser.add_argument("--out", type=Path, help="also write the result to render-DEVICE.json in this folder")
    options = parser.parse_args()
    if options.clips < 1:
        parser.error("--clips must be at least 1")
    if options.threads:
        torch.set_num_threads(options.threads)
    result = measure(options.model, options.device, options.clips, options.steps)
    print(json.dumps(result, indent=2))
    if options.out:
        write_result(options.out / f"render-{result['device']['kind']}.json", result)


def measure(model: str, device: str, clips: int, steps: int | None) -> dict[str, Any]:
    started = time.perf_counter()
    engine = load_engine(model, device)
    loading = time.perf_counter() - started
    card = engine.card
    changes: dict[str, Any] = {"steps": steps} if steps else {}
    rendering, encoding = [], []
    with tempfile.TemporaryDirectory() as folder:
        # The first clip pays for what happens once (thread pools, CUDA kernels) and is not counted.
        for number in range(clips + 1):
            prompt = card.examples[number % len(card.examples)]
            spec = card.spec(prompt, seed=number, **changes)
            started = time.perf_counter()
            # Frames come back on the CPU, so the GPU has finished when this returns.
            frames = render_one(engine, spec)
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
        "versions": versions(),
    }


if __name__ == "__main__":
    main()
