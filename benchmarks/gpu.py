"""Everything on a card, beside ModelScope's and diffusers' classes: B1 to B5, B7, B8 and the growth curves.

With memory, launches and share of the peak rate.

    python -m benchmarks.gpu                 writes benchmarks/results/NAME-cuda.json
    python -m benchmarks.gpu --dry-run       the same programs on the CPU with tiny networks, to see that they run

Each program measures by itself; this one calls them for the card and adds what only a card has.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import ROOT, write_result
from benchmarks.flops import clip_flops

RESULTS = ROOT / "benchmarks" / "results"
# Dense half-precision tensor rates in TFLOP/s, from the makers' data sheets; without sparsity.
PEAK = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "A10": 125, "L4": 121, "4090": 165, "V100": 125, "T4": 65}
FULL_CLIP = (16, 32, 32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.gpu", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="weights to use and to leave there, 18 GB; default: a temporary one"
    )
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    if not options.dry_run and not torch.cuda.is_available():
        parser.error("there is no CUDA card here; --dry-run shows that everything runs")
    device, rounds = ("cpu", 1) if options.dry_run else (options.device, options.rounds)
    with tempfile.TemporaryDirectory(prefix="gpu-") as scratch:
        results = Path(scratch) if options.dry_run else RESULTS
        weights, common = str(options.folder or Path(scratch) / "weights"), ["--device", device]
        tiny = ["--tiny"] if options.dry_run else []
        call("benchmarks.exact", *common, *tiny, "--folder", weights, "--rounds", str(rounds), "--out", str(results))
        call(
            "benchmarks.b5_cold_start", *common, *tiny, "--keep", weights, "--runs", str(rounds), "--out", str(results)
        )
        for module in ("benchmarks.b7_service", "benchmarks.growth"):
            call(module, *common, *tiny, "--rounds", str(rounds), "--out", str(results))
        kind = device.partition(":")[0]
        for name in ("guided-step", "clip", "request"):
            path = results / f"{name}-{kind}.json"
            result = json.loads(path.read_text(encoding="utf-8"))
            result.update(rates(result, name))
            write_result(path, result)
            print(json.dumps({"benchmark": result["benchmark"], **rates(result, name)}))
    if options.dry_run:
        print("All programs run; no figures come of a dry run.")


def call(module: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{module} ended with {done.returncode}.")


def rates(result: dict[str, Any], name: str) -> dict[str, Any]:
    """TFLOP/s by the arithmetic of ModelScope's classes, for both sides, and as a share of the card's peak."""
    steps = 1 if name in ("guided-step", "request") else result["steps"]
    frames, height, width = result["latents"]
    tflop = clip_flops(frames, height, width, steps=steps, decode=name != "guided-step") / 1e12
    peak = next((rate for card, rate in PEAK.items() if card in result["device"]["name"]), None)
    found: dict[str, Any] = {"tflop": round(tflop, 2)}
    for side, seconds in result["seconds"].items():
        rate = tflop / seconds["median"]
        found[f"{side}_tflop_per_second"] = round(rate, 1)
        if peak:
            found[f"{side}_share_of_peak"] = round(rate / peak, 3)
    return found


if __name__ == "__main__":
    main()
