"""B1 to B4 and B8: the exact path against ModelScope's own classes, the same weights and noise on both sides, as JSON.

    python -m benchmarks.exact                 everything, true shapes; wants 20 GB of disk and 16 GB of memory
    python -m benchmarks.exact --brief         what fits into make bench: the true network, shorter or smaller clips
    python -m benchmarks.exact --only text
    python -m benchmarks.exact --tiny          a minute, to see that it runs; no figures come of it

Every weight is drawn anew (as constructed, many of ModelScope's are zero and equality would prove nothing). Each
measurement is a process of its own, the sides in turn; the results are compared before a time is told. The guided step
and the decoding have a third side, diffusers' classes for the same architecture (benchmarks/diffusers_side.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.b5_cold_start import draw
from benchmarks.common import ROOT, commit, describe_device, summary, versions, write_result
from benchmarks.flops import clip_flops

GIB = 2**30
# One prompt through the 23 blocks of ViT-H-14's text half.
TEXT_FLOP = 45.1e9
STOCK, OURS, DIFFUSERS = "stock", "ours", "diffusers"
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Brief:
    """What make bench measures instead, and why that is enough. Zero steps or rounds: as without --brief."""

    shape: Shape
    why: str
    steps: int = 0
    rounds: int = 0


@dataclass(frozen=True)
class Benchmark:
    """What is measured, at which shape (frames, height and width of the latents), and what must be equal how far."""

    name: str
    title: str
    shape: Shape
    steps: int
    compared: str
    tolerance: float
    brief: Brief
    figures: tuple[str, ...] = ("seconds",)
    sides: tuple[str, ...] = (STOCK, OURS)


BENCHMARKS = (
    Benchmark(
        "guided-step", "B1 one guided step", (16, 32, 32), 50, "noise", 1e-4,
        Brief((2, 32, 32), "an eighth of the frames: the same work per frame; all 16 in the request, once"),
        sides=(STOCK, OURS, DIFFUSERS),
    ),
    Benchmark(
        "launches", "B1 kernel launches of one guided step", (16, 8, 8), 50, "latents", 1e-3,
        Brief((2, 8, 8), "a count, the same every time; it does not depend on the size", rounds=1), ("launches",),
    ),
    Benchmark(
        "clip", "B2 a whole small clip", (16, 8, 8), 50, "latents", 1e-3,
        Brief((8, 8, 8), "fewer steps and half of the frames: every step is the same work", steps=3),
        ("seconds", "sampling"),
    ),
    Benchmark(
        "text", "B3 text of one request", (1, 8, 8), 1, "features", 1e-4,
        Brief((1, 8, 8), "in full"), ("seconds", "repeated"),
    ),
    Benchmark(
        "decode", "B4 decoding", (16, 32, 32), 1, "pixels", 1,
        Brief((4, 16, 16), "for the time per frame; memory with 16 frames of 32x32 in the request"),
        ("seconds", "activations"), (STOCK, OURS, DIFFUSERS),
    ),
    Benchmark(
        "request", "B8 memory of one request", (16, 32, 32), 1, "pixels", 2,
        Brief((16, 32, 32), "at full size, because memory is what counts; once, because it takes minutes", rounds=1),
        ("seconds", "seconds_before_decoding", "seconds_of_decoding", "activations", "peak_rss", "vram_peak"),
    ),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.exact", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=[benchmark.name for benchmark in BENCHMARKS], action="append")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (default: 3)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--clip-steps", type=int, default=50, help="denoising steps of B2 (default: upstream's 50)")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--folder", type=Path, help="weights to use and to leave there, 18 GB; drawn when it is empty")
    parser.add_argument("--out", type=Path, help="also write each result to NAME-DEVICE.json in this folder")
    options = parser.parse_args()
    wanted = [benchmark for benchmark in BENCHMARKS if not options.only or benchmark.name in options.only]
    with tempfile.TemporaryDirectory(prefix="exact-") as scratch:
        weights = options.folder or Path(scratch)
        draw(weights, options)
        for benchmark in wanted:
            result = measure(benchmark, weights, Path(scratch), options)
            print(json.dumps(result), flush=True)
            if options.out:
                write_result(options.out / f"{benchmark.name}-{options.device.partition(':')[0]}.json", result)


def measure(benchmark: Benchmark, weights: Path, scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    [copy] = (weights / "copy").iterdir()
    folders = {side: copy if side == OURS else weights / "source" for side in benchmark.sides}
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in benchmark.sides}
    differences = dict.fromkeys(side for side in benchmark.sides if side != STOCK)
    rounds = rounds_of(benchmark, options)
    for number in range(rounds):
        for side, folder in folders.items():
            runs[side].append(run(benchmark, side, folder, scratch, options))
            told = json.dumps(runs[side][-1])
            print(f"{benchmark.name}, round {number + 1} of {rounds}, {side}: {told}", file=sys.stderr, flush=True)
        for side, before in differences.items():
            found = differences[side] = max(before or 0.0, distance(benchmark, side, scratch))
            if found > benchmark.tolerance and not options.device.startswith("cuda"):
                raise SystemExit(f"{benchmark.title}: {side} is not equal to stock ({found:.2e}), so no time is told.")
    shape, steps = shape_of(benchmark, options), steps_of(benchmark, options)
    result: dict[str, Any] = {
        "benchmark": benchmark.title,
        "commit": commit(),
        "shapes": "tiny, no figures" if options.tiny else "ModelScope's, 1.4 billion parameters in the UNet",
        "latents": list(shape),
        "steps": steps,
        "rounds": rounds,
        **({"why_this_shape": benchmark.brief.why} if options.brief else {}),
        "difference": differences[OURS],
        "difference_of": f"{benchmark.compared}, largest, "
        + ("levels of 255" if levels(benchmark) else "in their std"),
    }
    if DIFFUSERS in differences:
        result |= {"diffusers_compared": "yes: the same weights", "difference_of_diffusers": differences[DIFFUSERS]}
    for figure in benchmark.figures:
        # A figure of cards alone.
        if figure not in runs[OURS][0]:
            continue
        result[figure] = {side: summary([entry[figure] for entry in entries]) for side, entries in runs.items()}
        for side in benchmark.sides:
            if side != OURS:
                found = result[figure][side]["median"] / max(result[figure][OURS]["median"], 1e-9)
                result[f"ratio_{figure}" if side == STOCK else f"ratio_{figure}_{side}"] = round(found, 3)
    for figure in sorted(set(runs[OURS][0]) - set(runs[STOCK][0])):
        result[figure] = {OURS: summary([entry[figure] for entry in runs[OURS]])}
    if not options.tiny:
        result["stock_tflop"] = round(flop(benchmark, shape, steps) / 1e12, 2)
    result["device"] = {**describe_device(options.device), "threads": options.threads}
    result["versions"] = versions()
    return result


def flop(benchmark: Benchmark, shape: Shape, steps: int) -> float:
    """FLOP of what is timed once, by the arithmetic of ModelScope's classes; of texts only B3's, two of 45.1 GFLOP."""
    if benchmark.name == "text":
        return 2 * TEXT_FLOP
    if benchmark.name == "decode":
        return clip_flops(*shape, steps=0, decode=True)
    steps = steps if benchmark.name == "clip" else 1
    return clip_flops(*shape, steps=steps, decode=benchmark.name in ("clip", "request"))


def rounds_of(benchmark: Benchmark, options: argparse.Namespace) -> int:
    return int(benchmark.brief.rounds if options.brief and benchmark.brief.rounds else options.rounds)


def shape_of(benchmark: Benchmark, options: argparse.Namespace) -> Shape:
    if options.tiny:
        return (min(benchmark.shape[0], 4), 8, 8)
    return benchmark.brief.shape if options.brief else benchmark.shape


def steps_of(benchmark: Benchmark, options: argparse.Namespace) -> int:
    if benchmark.name != "clip":
        return benchmark.steps
    if options.tiny:
        return 4
    return int(benchmark.brief.steps if options.brief else options.clip_steps)


def run(benchmark: Benchmark, side: str, folder: Path, scratch: Path, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.sides", benchmark.name, side, "--folder", str(folder)]
    command += ["--device", options.device, "--steps", str(steps_of(benchmark, options))]
    command += ["--shape", *map(str, shape_of(benchmark, options)), "--save", str(scratch / f"{side}.npz")]
    command += ["--threads", str(options.threads)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not lines:
        raise SystemExit(f"{benchmark.title}: {side} ended with {process.returncode}; its own words are above.")
    figures: dict[str, float] = json.loads(lines[-1])
    # The child tells its own peak where it has set the kernel's account of it back.
    return {"peak_rss": usage.ru_maxrss * 1024 / GIB, **figures}


def levels(benchmark: Benchmark) -> bool:
    return benchmark.compared == "pixels"


def distance(benchmark: Benchmark, side: str, scratch: Path) -> float:
    """Largest difference of a side's result from stock's: levels of 255 for pixels, else in units of stock's std."""
    stock, other = (np.load(scratch / f"{name}.npz")[benchmark.compared].astype(np.float64) for name in (STOCK, side))
    if not np.isfinite(stock).all() or stock.std() == 0:
        raise SystemExit(f"{benchmark.title}: stock's result is empty, so equality would prove nothing.")
    return float(np.abs(stock - other).max() / (1 if levels(benchmark) else stock.std()))


if __name__ == "__main__":
    main()
