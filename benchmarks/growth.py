"""Growth curves: how cost grows with frames, requests at once, size, steps and repeated prompts, as JSON.

    python -m benchmarks.growth
    python -m benchmarks.growth --tiny      a minute, to see that it runs; no figures come of it

One quantity is varied at a time, on ModelScope's architecture at a fifth of its width, so that all of it takes minutes.
Each side is a process of its own that measures every point once a round, the sides in turn. FLOPs by the arithmetic of
ModelScope's classes stand beside the seconds: a curve that is flatter than theirs saves work, or starts it in larger
pieces. "requests" are rendered in one call here and one after the other by stock, which takes one at a time.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.b5_cold_start import draw
from benchmarks.common import ROOT, commit, describe_device, summary, versions, write_result
from benchmarks.flops import clip_flops
from benchmarks.stock import StockPipeline
from generations.engine.base import VideoSpec
from generations.engine.modelscope.pipeline import ModelScopeEngine

SIDES = ("stock", "ours")


@dataclass(frozen=True)
class Point:
    """One place on a curve. Sides in latent cells of 8 pixels; repeats: the same prompt so often, texts alone."""

    curve: str
    frames: int = 4
    height: int = 8
    width: int = 8
    steps: int = 2
    requests: int = 1
    repeats: int = 0

    @property
    def at(self) -> str:
        """The value of what is varied."""
        size = f"{self.height}x{self.width}"
        return size if self.curve == "latents" else str(getattr(self, self.curve))


POINTS = (
    *(Point("frames", frames=frames, steps=1) for frames in (8, 16, 24, 32)),
    *(Point("requests", frames=1, requests=requests) for requests in (1, 2, 3, 4)),
    *(Point("latents", frames=1, height=h, width=w, steps=1) for h, w in ((16, 16), (24, 24), (32, 32), (40, 72))),
    *(Point("steps", frames=1, steps=steps) for steps in (1, 2, 4, 8)),
    *(Point("repeats", repeats=repeats) for repeats in (1, 2, 4, 8)),
)
TINY_POINTS = (
    Point("frames", frames=2),
    Point("requests", frames=2, requests=2),
    Point("latents", frames=1, height=16, width=16),
    Point("steps", frames=1, steps=3),
    Point("repeats", repeats=2),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.growth", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each side (default: 3)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the result to growth-DEVICE.json in this folder")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
    options.rounds = 1 if options.tiny else options.rounds
    with tempfile.TemporaryDirectory(prefix="growth-") as scratch:
        result = measure(Path(scratch), options)
    print(json.dumps(result), flush=True)
    if options.out:
        write_result(options.out / f"growth-{options.device.partition(':')[0]}.json", result)


def measure(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    draw(scratch, options, narrow=not options.tiny)
    points = points_of(options)
    seconds: dict[str, list[list[float]]] = {side: [] for side in SIDES}
    for number in range(options.rounds):
        for side in SIDES:
            seconds[side].append(run(side, scratch, options))
            told = f"{sum(seconds[side][-1]):.1f} s"
            print(f"growth, round {number + 1} of {options.rounds}, {side}: {told}", file=sys.stderr, flush=True)
    rows = []
    for place, point in enumerate(points):
        found = {side: summary([entries[place] for entries in seconds[side]]) for side in SIDES}
        ratio = found["stock"]["median"] / max(found["ours"]["median"], 1e-9)
        row: dict[str, Any] = {"curve": point.curve, "at": point.at, "point": asdict(point), "seconds": found}
        if not options.tiny and not point.repeats:
            row["stock_gflop"] = round(flop(point) / 1e9, 2)
        rows.append({**row, "ratio_seconds": round(ratio, 3)})
    return {
        "benchmark": "growth",
        "commit": commit(),
        "shapes": "tiny, no figures" if options.tiny else "ModelScope's architecture, dim 64 instead of 320, drawn",
        "rounds": options.rounds,
        "compared": "by benchmarks.exact and benchmarks.b7_service, with the same classes; here only finite pictures",
        "points": rows,
        "device": {**describe_device(options.device), "threads": options.threads},
        "versions": versions(),
    }


def points_of(options: argparse.Namespace) -> tuple[Point, ...]:
    return TINY_POINTS if options.tiny else POINTS


def flop(point: Point) -> float:
    """Of ModelScope's classes for all requests of the point, without their texts."""
    one = clip_flops(point.frames, point.height, point.width, steps=point.steps, decode=True, narrow=True)
    return point.requests * one


def run(side: str, scratch: Path, options: argparse.Namespace) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.growth", "--child", side, "--folder", str(scratch)]
    command += ["--device", options.device, "--threads", str(options.threads)]
    command += ["--tiny"] if options.tiny else []
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"growth: {side} ended with {done.returncode}; its own words are above.")
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


# --- one side, in its own process


def child(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    side = Stock(options) if options.child == "stock" else Ours(options)
    points = points_of(options)
    # Threads, libraries, and on a card kernels are got ready by the first of all renderings.
    side.render(points[0], "warm up")
    seconds = []
    for number, point in enumerate(points):
        work: Callable[[], None] = functools.partial(side.render, point, f"point {number}")
        if point.repeats:
            work = functools.partial(side.encode, point, f"point {number}")
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    print(json.dumps(seconds), flush=True)
    os._exit(0)


class Stock:
    def __init__(self, options: argparse.Namespace) -> None:
        self.pipeline = StockPipeline(options.folder / "source", options.device)
        self.pipeline.load_unet(as_upstream=False)
        self.pipeline.load_autoencoder()
        self.pipeline.load_text()

    def render(self, point: Point, prompt: str) -> None:
        for seed in range(point.requests):
            size = point.frames, point.height * 8, point.width * 8
            frames = self.pipeline.render(f"{prompt}, {seed}", seed, point.steps, *size)
            assert frames.std() > 0

    def encode(self, point: Point, prompt: str) -> None:
        for _ in range(point.repeats):
            features = torch.cat([self.pipeline.encode(""), self.pipeline.encode(prompt)])
        assert bool(torch.isfinite(features).all())


class Ours:
    def __init__(self, options: argparse.Namespace) -> None:
        [copy] = (options.folder / "copy").iterdir()
        self.engine = ModelScopeEngine(copy, options.device)

    def render(self, point: Point, prompt: str) -> None:
        specs = [
            VideoSpec(
                f"{prompt}, {seed}", seed, frames=point.frames, height=point.height * 8, width=point.width * 8,
                steps=point.steps,
            )
            for seed in range(point.requests)
        ]  # fmt: skip
        for outcome in self.engine.render(specs, lambda *_: None):
            if isinstance(outcome, Exception):
                raise outcome
            assert outcome.std() > 0

    def encode(self, point: Point, prompt: str) -> None:
        with torch.inference_mode():
            for _ in range(point.repeats):
                features = self.engine.encode("", prompt)
        assert bool(torch.isfinite(features).all())


if __name__ == "__main__":
    main()
