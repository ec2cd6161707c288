"""make bench: everything that a machine without a card can measure, one part after the other, in under 40 minutes.

    python -m benchmarks.cpu                    the whole set; 20 GB of disk and 14 GiB of free memory
    python -m benchmarks.cpu --skip-done        goes on where a run was stopped
    python -m benchmarks.cpu --tiny             a few minutes, to see that it runs; no figures come of it

First it says what each part is expected to take here, by a short measurement of this machine's own speed. Each result
is written to --out as soon as it is there. The weights, 18 GB, are drawn once and removed when all parts are done; a
run that was stopped leaves them for --skip-done.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.b5_cold_start import NEEDED_GIB, draw
from benchmarks.common import LOAD_AT_START, ROOT, write_result
from benchmarks.exact import BENCHMARKS, STOCK, Benchmark, flop, rounds_of, shape_of, steps_of
from benchmarks.growth import POINTS
from benchmarks.growth import flop as point_flop

GIB = 2**30
# ModelScope's constructors hold weights twice for a moment, and 16 frames are decoded at once.
NEEDED_MEMORY_GIB = 14
# What the estimates take for granted, in seconds, apart from arithmetic; nothing but the estimates depends on them.
IMPORTS, READING, CONSTRUCTING = 4.0, 8.0, 50.0
# Large networks reach about this share of what a single large operation does.
SHARE = 0.6


@dataclass(frozen=True)
class Part:
    """One program and the results that it writes; seconds: what it is expected to take."""

    name: str
    title: str
    command: list[str]
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.cpu", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="a folder for the results; default: benchmarks/results")
    parser.add_argument("--folder", type=Path, help="where the weights are put; default: var/bench")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (default: 3)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip-done", action="store_true", help="measure nothing again whose result lies in --out")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts alone, by the names of their results")
    parser.add_argument("--gflops", type=float, help="speed to expect of large networks, instead of measuring it")
    parser.add_argument("--expect", action="store_true", help="say what each part is expected to take, and end")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if options.tiny:
        options.rounds = 1
    # Nothing tiny may lie among the figures, or among the weights that figures come of.
    place = ROOT / "var" / ("bench-tiny" if options.tiny else "bench")
    options.folder = (options.folder or place).resolve()
    options.out = (options.out or (place / "results" if options.tiny else ROOT / "benchmarks" / "results")).resolve()
    options.device, options.brief, options.clip_steps = "cpu", True, 0
    rate = 1e9 * options.gflops if options.gflops else speed(options.threads)
    parts = list(parts_of(options, rate))
    unknown = set(options.only or ()) - {part.name for part in parts}
    if unknown:
        parser.error(f"there is no part {min(unknown)}; there are: {', '.join(part.name for part in parts)}")
    parts = [part for part in parts if not options.only or part.name in options.only]
    if options.skip_done:
        parts = [part for part in parts if not done(part, options)]
    expect(parts, rate)
    if parts and not options.expect:
        require_room(options)
        measure(parts, options)


def parts_of(options: argparse.Namespace, rate: float) -> Iterator[Part]:
    """In the order of their worth: a run that is stopped has the most important results."""
    common = ["--threads", str(options.threads), "--out", str(options.out), *(["--tiny"] if options.tiny else [])]
    rounds = ["--rounds", str(options.rounds)]
    for benchmark in BENCHMARKS:
        command = ["benchmarks.exact", "--brief", "--only", benchmark.name, "--folder", str(options.folder)]
        seconds = seconds_of(benchmark, options, rate)
        yield Part(f"{benchmark.name}-cpu", benchmark.title, [*command, *rounds, *common], seconds)
    command = ["benchmarks.b5_cold_start", "--keep", str(options.folder), "--runs", str(options.rounds)]
    # Where memory is short, ModelScope's text half is started in a process of its own.
    command += ["--stock-in-parts"] if available_memory() < NEEDED_MEMORY_GIB + 2 else []
    # Both read everything; once more before, so that the disk is warm.
    starts = IMPORTS + CONSTRUCTING + 2 * READING + IMPORTS + READING
    yield Part("cold-start-cpu", "B5 cold start", [*command, *common], options.rounds * starts)
    # Per round three sides, each with a process, a warm-up and its jobs: starting operations counts, not arithmetic.
    seconds = 5 * IMPORTS + options.rounds * 3 * (2.5 * IMPORTS + 16 * 0.9)
    yield Part("service-cpu", "B7 queued jobs", ["benchmarks.b7_service", *rounds, *common], seconds)
    arithmetic = sum(point_flop(point) for point in POINTS if not point.repeats) / (rate / 2)
    rounds = ["--rounds", str(min(options.rounds, 2))]
    seconds = 5 * IMPORTS + min(options.rounds, 2) * 2 * (1.5 * IMPORTS + arithmetic)
    yield Part("growth-cpu", "growth curves", ["benchmarks.growth", *rounds, *common], seconds)
    yield Part("render-cpu", "the demo model", ["benchmarks.render", "--out", str(options.out)], 45.0)


def seconds_of(benchmark: Benchmark, options: argparse.Namespace, rate: float) -> float:
    """By the arithmetic of ModelScope's classes for every side."""
    full = argparse.Namespace(**{**vars(options), "tiny": False})
    arithmetic = flop(benchmark, shape_of(benchmark, full), steps_of(benchmark, full)) / rate
    reading = READING if benchmark.name in ("guided-step", "launches", "clip", "request") else READING / 4
    constructing = {STOCK: CONSTRUCTING} if benchmark.name == "request" else {}
    each = [IMPORTS + reading + constructing.get(side, 0.0) + arithmetic for side in benchmark.sides]
    return rounds_of(benchmark, full) * sum(each)


def speed(threads: int) -> float:
    """FLOP/s that the large networks may be expected to reach here: a share of what one convolution does."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    layer, x = nn.Conv2d(320, 320, 3, padding=1), torch.randn(4, 320, 32, 32)
    flops = 2 * x.numel() * 320 * 9
    with torch.inference_mode():
        layer(x)
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < 2:
            layer(x)
            count += 1
    seconds = time.perf_counter() - started
    torch.set_num_threads(before)
    return SHARE * count * flops / seconds


def done(part: Part, options: argparse.Namespace) -> bool:
    path = options.out / f"{part.name}.json"
    if not path.is_file():
        return False
    result = json.loads(path.read_text(encoding="utf-8"))
    if str(result.get("shapes", "")).startswith("tiny") and not options.tiny:
        return False
    say(f"{part.name} is there already, of commit {result['commit']}; it is not measured again.")
    return True


def expect(parts: list[Part], rate: float) -> None:
    for part in parts:
        say(f"{part.seconds / 60:5.1f} min  {part.name}: {part.title}")
    minutes = (drawing_seconds() + sum(part.seconds for part in parts)) / 60
    say(f"{minutes:5.1f} min  expected in all, at {rate / 1e9:.0f} GFLOP/s; the weights are drawn first")


def drawing_seconds() -> float:
    # 1.4 billion normal numbers at 40 million a second, writing, reading and hashing 10 GB, writing 7.
    return 150.0


def require_room(options: argparse.Namespace) -> None:
    """End with a clear line before anything is drawn."""
    if options.tiny:
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(options.folder).free / GIB
    if not (options.folder / "copy").exists() and free < NEEDED_GIB:
        raise SystemExit(f"{options.folder} has {free:.0f} GiB free, {NEEDED_GIB} are needed; --folder names another.")
    memory = available_memory()
    if memory < NEEDED_MEMORY_GIB:
        raise SystemExit(f"{memory:.1f} GiB of memory are free, {NEEDED_MEMORY_GIB} are needed.")


def available_memory() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024 / GIB


def measure(parts: list[Part], options: argparse.Namespace) -> None:
    started = time.monotonic()
    say(f"Load average before anything: {LOAD_AT_START[0]:.2f}. Drawing the weights into {options.folder}.")
    draw(options.folder, options)
    for number, part in enumerate(parts, start=1):
        minutes = (time.monotonic() - started) / 60
        left = sum(other.seconds for other in parts[number - 1 :]) / 60
        say(f"[{number}/{len(parts)}] {part.title}; {minutes:.1f} min are over, about {left:.1f} are left.")
        command = [sys.executable, "-m", *part.command]
        # Standard output says what the results say; those are in files here.
        if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f"{part.title} failed; its own words are above. --skip-done goes on after it is mended.")
        path = options.out / f"{part.name}.json"
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # Later parts find the load of the earlier ones.
        result["device"]["load_average_before_the_set"] = [round(load, 2) for load in LOAD_AT_START]
        write_result(path, result)
        print(json.dumps(result), flush=True)
    for name in ("source", "copy"):
        shutil.rmtree(options.folder / name)
    say(f"Done in {(time.monotonic() - started) / 60:.1f} minutes; results are in {options.out}.")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(f"{os.linesep}Stopped; what was measured is kept. --skip-done goes on.")
