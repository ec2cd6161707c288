"""B5, cold start: from the start of a process to a model that can render, ModelScope's way and ours, as JSON.

Both read the same weights of ModelScope's shapes, drawn anew: ModelScope's classes from a folder in its own format,
ours from the prepared copy that fetchmodel makes of that folder. Each start is a process of its own, in turn, after its
files were read once (a warm disk), and its memory is what the kernel says of it when it has ended. Stock is ready when
its constructors have returned; ours when its self-test has sent words through all three networks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.cold_starts import AUTOENCODER_FILE, CLIP_FILE, GIB, UNET_FILE
from benchmarks.common import ROOT, commit, describe_device, summary, versions, write_result

# The weights twice: in ModelScope's format with CLIP's picture half, and prepared.
NEEDED_GIB = 20
FULL: dict[str, Any] = {
    "unet_in_dim": 4, "unet_dim": 320, "unet_y_dim": 768, "unet_context_dim": 1024, "unet_out_dim": 4,
    "unet_dim_mult": [1, 2, 4, 4], "unet_num_heads": 8, "unet_head_dim": 64, "unet_res_blocks": 2,
    "unet_attn_scales": [1, 0.5, 0.25], "unet_dropout": 0.1, "temporal_attention": "True", "num_timesteps": 1000,
}  # fmt: skip
TINY = {**FULL, "unet_dim": 32, "unet_dim_mult": [1, 2], "unet_head_dim": 32, "unet_res_blocks": 1}
TINY_EXTENSION = {
    "text_tower": {"width": 32, "heads": 2, "layers": 2, "project_tokens": True},
    "autoencoder": {"ch": 32, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1},
}
# A fifth of the width: about as many operations as the full network, each so short that starting it is most of its
# cost, as on a large card.
NARROW = {**FULL, "unet_dim": 64}
NARROW_EXTENSION = {
    "text_tower": {"width": 256, "heads": 4, "layers": 6, "project_tokens": True},
    "autoencoder": {"ch": 32, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.b5_cold_start")
    parser.add_argument("--runs", type=int, default=3, help="starts of each kind (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each process (default: 2)")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--keep", type=Path, help="a folder of 18 GB to use and to leave there; what it holds is not drawn again"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="small networks, to see that it runs; no figures come of it"
    )
    parser.add_argument(
        "--stock-in-parts",
        action="store_true",
        help="start ModelScope's text encoder in a process of its own and add both up: for less than 16 GB of memory",
    )
    parser.add_argument("--out", type=Path, help="also write the result to cold-start-DEVICE.json in this folder")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    result = measure(options)
    print(json.dumps(result, indent=2))
    if options.out:
        write_result(options.out / f"cold-start-{options.device.partition(':')[0]}.json", result)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        home = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b5-")))
        draw(home, options)
        folder, copy = home / "source", home / "copy"
        [found] = copy.glob("float*")
        kinds = ["stock-first", "stock-text"] if options.stock_in_parts else ["stock"]
        starts: dict[str, list[dict[str, float]]] = {kind: [] for kind in [*kinds, "ours"]}
        for _ in range(options.runs):
            for kind in starts:
                files = found if kind == "ours" else folder
                warm(files, kind)
                starts[kind].append(start(kind, files, options))
        sizes = {"stock": size(folder), "ours": size(found)}
    stock = [added(parts) for parts in zip(*(starts[kind] for kind in kinds), strict=True)]
    ours = starts["ours"]
    return {
        "benchmark": "B5 cold start",
        "commit": commit(),
        "shapes": "tiny, no figures" if options.tiny else "ModelScope's, 1.4 billion parameters in the UNet",
        "runs": options.runs,
        "order": [*kinds, "ours"] * options.runs,
        "stock": "in two processes, added up" if options.stock_in_parts else "in one process",
        "gigabytes_on_disk": {kind: round(count / 1e9, 2) for kind, count in sizes.items()},
        "seconds_to_ready": {kind: summary([s["seconds"] for s in runs]) for kind, runs in parts(stock, ours)},
        "seconds_of_imports": {kind: summary([s["imports"] for s in runs]) for kind, runs in parts(stock, ours)},
        "peak_rss_gib": {kind: summary([s["peak_rss"] for s in runs]) for kind, runs in parts(stock, ours)},
        "anonymous_gib_at_ready": {kind: summary([s["anonymous"] for s in runs]) for kind, runs in parts(stock, ours)},
        "cpu_seconds": {kind: summary([s["cpu"] for s in runs]) for kind, runs in parts(stock, ours)},
        "ratio_seconds": ratio(stock, ours, "seconds"),
        "ratio_cpu_seconds": ratio(stock, ours, "cpu"),
        "ratio_peak_rss": ratio(stock, ours, "peak_rss"),
        "device": {**describe_device(options.device), "threads": options.threads},
        "versions": versions(),
    }


def draw(home: Path, options: argparse.Namespace, *, narrow: bool = False) -> None:
    """Write below home what is missing: source, a folder in ModelScope's format, and copy, what fetchmodel makes of it.

    The first two are drawn side by side: random numbers keep one processor busy.
    """
    folder, copy = home / "source", home / "copy"
    missing = [
        child for child, file in (("draw-unet", UNET_FILE), ("draw-rest", CLIP_FILE)) if not (folder / file).exists()
    ]
    prepared = list(copy.glob("float*"))
    if not prepared:
        home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free / GIB
        if free < NEEDED_GIB and not options.tiny and not narrow:
            raise SystemExit(f"{home} has {free:.0f} GiB free, {NEEDED_GIB} are needed for weights of true size.")
    if not (folder / "configuration.json").exists():
        write_configuration(folder, tiny=options.tiny, narrow=narrow)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda child: start(child, folder, options), missing))
    if not prepared:
        start("prepare-float16" if options.device.startswith("cuda") else "prepare-float32", folder, options)


def parts(stock: list[dict[str, float]], ours: list[dict[str, float]]) -> list[tuple[str, list[dict[str, float]]]]:
    return [("stock", stock), ("ours", ours)]


def ratio(stock: list[dict[str, float]], ours: list[dict[str, float]], what: str) -> float:
    medians = [summary([start[what] for start in runs])["median"] for runs in (stock, ours)]
    return round(medians[0] / medians[1], 2)


def added(starts: tuple[dict[str, float], ...]) -> dict[str, float]:
    """One start out of its parts: the second part's work comes on top of the first one's, its imports do not."""
    first, *rest = starts
    result = dict(first)
    for part in rest:
        result["seconds"] += part["seconds"] - part["imports"]
        result["cpu"] += part["cpu"] - part["cpu_of_imports"]
        # While the second part works, what the first has built stays where it is.
        result["peak_rss"] = max(result["peak_rss"], first["rss"] + part["peak_rss"] - part["rss_of_imports"])
        result["anonymous"] += part["anonymous"]
    return result


def start(child: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Run one child process until it is ready; seconds by the clock here, peak memory by the kernel's account of it."""
    command = [sys.executable, "-m", "benchmarks.cold_starts", child, str(folder), options.device]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.monotonic() - started
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not line:
        raise SystemExit(f"The process for {child} ended with {process.returncode}; its own words are above.")
    told: dict[str, float] = json.loads(line)
    cpu = usage.ru_utime + usage.ru_stime
    found = {**told, "seconds": seconds, "cpu": cpu, "peak_rss": usage.ru_maxrss * 1024 / GIB}
    print(child, json.dumps(found), file=sys.stderr, flush=True)
    return found


# --- files


def write_configuration(folder: Path, *, tiny: bool = False, narrow: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {"ckpt_clip": CLIP_FILE, "ckpt_unet": UNET_FILE, "ckpt_autoencoder": AUTOENCODER_FILE}
    document: dict[str, Any] = {
        "model": {
            "model_args": {**files, "max_frames": 16},
            "model_cfg": TINY if tiny else NARROW if narrow else FULL,
        }
    }
    if tiny or narrow:
        document["text_to_video_bot"] = TINY_EXTENSION if tiny else NARROW_EXTENSION
    (folder / "configuration.json").write_text(json.dumps(document), encoding="utf-8")


def warm(folder: Path, kind: str) -> None:
    """Read the files that a start will read, so that all find them in memory."""
    skipped = {"stock-first": {CLIP_FILE}, "stock-text": {UNET_FILE, AUTOENCODER_FILE}}.get(kind, set())
    for path in folder.iterdir():
        if path.name not in skipped:
            with path.open("rb") as file, open(os.devnull, "wb") as nowhere:
                shutil.copyfileobj(file, nowhere, 16 * 2**20)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


if __name__ == "__main__":
    main()
