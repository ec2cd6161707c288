"""B1 to B4 and B8: the exact path against ModelScope's own classes, the same weights and noise on both sides, as JSON.

    python -m benchmarks.exact                 everything, true shapes; wants 20 GB of disk and 16 GB of memory
    python -m benchmarks.exact --only text
    python -m benchmarks.exact --tiny          a minute, to see that it runs; no figures come of it

Every weight is drawn anew (as constructed, many of ModelScope's are zero and equality would prove nothing). Each
measurement is a process of its own, stock and ours in turn; the results are compared before a time is told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.b5_cold_start import start, write_configuration
from benchmarks.common import ROOT, commit, describe_device, summary, versions
from benchmarks.flops import clip_flops

GIB = 2**30
# The weights twice: in ModelScope's format with CLIP's picture half, and prepared.
NEEDED_GIB = 20


@dataclass(frozen=True)
class Benchmark:
    """What is measured, at which shape (frames, height and width of the latents), and what must be equal how far."""

    name: str
    title: str
    shape: tuple[int, int, int]
    steps: int
    compared: str
    tolerance: float
    ratios: tuple[str, ...] = ("seconds",)


BENCHMARKS = (
    Benchmark("guided-step", "B1 one guided step", (16, 32, 32), 50, "noise", 1e-4),
    Benchmark("launches", "B1 kernel launches of one guided step", (16, 8, 8), 50, "latents", 1e-3, ("launches",)),
    Benchmark("clip", "B2 a whole small clip", (16, 8, 8), 50, "latents", 1e-3),
    Benchmark("text", "B3 text of one request", (1, 8, 8), 1, "features", 1e-4, ("seconds", "repeated")),
    Benchmark("decode", "B4 decoding 16 frames", (16, 32, 32), 1, "pixels", 1, ("seconds", "activations")),
    Benchmark("request", "B8 memory of one request", (16, 32, 32), 1, "pixels", 2, ("seconds", "peak_rss")),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.exact", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=[benchmark.name for benchmark in BENCHMARKS], action="append")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (default: 3)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--clip-steps", type=int, default=50, help="denoising steps of B2 (default: upstream's 50)")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--folder", type=Path, help="weights to use and to leave there, 18 GB; drawn when it is empty")
    parser.add_argument("--out", type=Path, help="also write each result to NAME.json in this folder")
    options = parser.parse_args()
    wanted = [benchmark for benchmark in BENCHMARKS if not options.only or benchmark.name in options.only]
    with tempfile.TemporaryDirectory(prefix="exact-") as scratch:
        weights = options.folder or Path(scratch)
        if not (weights / "source").exists():
            draw(weights, options)
        for benchmark in wanted:
            result = measure(benchmark, weights, Path(scratch), options)
            print(json.dumps(result), flush=True)
            if options.out:
                path = options.out / f"{benchmark.name}-{options.device.partition(':')[0]}.json"
                path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def draw(weights: Path, options: argparse.Namespace) -> None:
    """Write a folder in ModelScope's format, and the prepared copy that fetchmodel would make of it."""
    weights.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(weights).free / GIB
    if free < NEEDED_GIB and not options.tiny:
        raise SystemExit(f"{weights} has {free:.0f} GB free, {NEEDED_GIB} are needed; --folder names another place.")
    write_configuration(weights / "source", tiny=options.tiny)
    precision = "float16" if options.device.startswith("cuda") else "float32"
    for child in ("draw-unet", "draw-rest", f"prepare-{precision}"):
        start(child, weights / "source", options)


def measure(benchmark: Benchmark, weights: Path, scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    [copy] = (weights / "copy").iterdir()
    folders = {"stock": weights / "source", "ours": copy}
    runs: dict[str, list[dict[str, float]]] = {"stock": [], "ours": []}
    difference = 0.0
    for _ in range(options.rounds):
        for side, folder in folders.items():
            runs[side].append(run(benchmark, side, folder, scratch, options))
        difference = max(difference, distance(benchmark, scratch))
        if difference > benchmark.tolerance and not options.device.startswith("cuda"):
            raise SystemExit(f"{benchmark.title}: not equal ({difference:.2e}), so no time is told.")
    shape = shape_of(benchmark, options)
    steps = steps_of(benchmark, options)
    result: dict[str, Any] = {
        "benchmark": benchmark.title,
        "commit": commit(),
        "shapes": "tiny, no figures" if options.tiny else "ModelScope's, 1.4 billion parameters in the UNet",
        "latents": list(shape),
        "steps": steps,
        "difference": difference,
        "difference_of": f"{benchmark.compared}, largest, "
        + ("levels of 255" if levels(benchmark) else "in their std"),
    }
    for figure in sorted({name for side in runs.values() for entry in side for name in entry}):
        result[figure] = {
            side: summary([entry[figure] for entry in entries])
            for side, entries in runs.items()
            if all(figure in entry for entry in entries)
        }
    for figure in benchmark.ratios:
        found = result[figure]
        result[f"ratio_{figure}"] = round(found["stock"]["median"] / max(found["ours"]["median"], 1e-9), 3)
    if benchmark.name in ("guided-step", "clip") and not options.tiny:
        tflop = clip_flops(
            *shape, steps=1 if benchmark.name == "guided-step" else steps, decode=benchmark.name == "clip"
        )
        result["stock_tflop"] = round(tflop / 1e12, 2)
    result["device"] = {**describe_device(options.device), "threads": options.threads}
    result["versions"] = versions()
    return result


def shape_of(benchmark: Benchmark, options: argparse.Namespace) -> tuple[int, int, int]:
    return (min(benchmark.shape[0], 4), 8, 8) if options.tiny else benchmark.shape


def steps_of(benchmark: Benchmark, options: argparse.Namespace) -> int:
    if benchmark.name != "clip":
        return benchmark.steps
    return 4 if options.tiny else int(options.clip_steps)


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
    return {**figures, "peak_rss": usage.ru_maxrss * 1024 / GIB}


def levels(benchmark: Benchmark) -> bool:
    return benchmark.compared == "pixels"


def distance(benchmark: Benchmark, scratch: Path) -> float:
    """Largest difference of the two sides' results: levels of 255 for pixels, else in units of stock's std."""
    stock, ours = (
        np.load(scratch / f"{side}.npz")[benchmark.compared].astype(np.float64) for side in ("stock", "ours")
    )
    if not np.isfinite(stock).all() or stock.std() == 0:
        raise SystemExit(f"{benchmark.title}: stock's result is empty, so equality would prove nothing.")
    return float(np.abs(stock - ours).max() / (1 if levels(benchmark) else stock.std()))


if __name__ == "__main__":
    main()
