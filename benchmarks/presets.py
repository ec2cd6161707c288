"""B6, presets: what each one scores, computes and takes on one model, as JSON.

Every preset renders the same prompts with the same seeds, and training.scorer reads the clips with arithmetic. FLOPs
are counted by torch while one clip renders; the formula's count for ModelScope's 1.7 B model stands beside them.
Seconds are the processor's own on one thread, of prompts that were rendered with all presets in turn, so that other
work on the machine does not favour one of them. A preset that computes less is cheaper, not faster code.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import ROOT, commit, describe_device, summary, versions
from generations.engine import load_engine
from generations.engine.base import EXACT, Engine, render_one
from generations.engine.card import DEMO_MODEL, ModelCard
from generations.engine.presets import PRESETS
from training.captions import Caption
from training.check import ASPECTS, Judged, prompts
from training.score import SEED
from training.scorer import neatness, read

RESULTS = ROOT / "benchmarks" / "results" / "presets_demo.json"
# ModelScope's own steps, of which its presets take a share.
MODELSCOPE_STEPS = ModelCard().steps
# There is no few-step LoRA for the demo model.
WITHOUT_LORA = [name for name, preset in PRESETS.items() if not preset.lora]

Clip = dict[str, Any]
"""What was read of one clip: seed and preset, each aspect right or not, outlines, processor seconds, and the presets in
whose turn it was rendered."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.presets")
    parser.add_argument("--model", type=Path, default=DEMO_MODEL, help="a folder that draws what training.scorer reads")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=WITHOUT_LORA, metavar="NAME")
    parser.add_argument("--prompts", type=int, default=120)
    parser.add_argument("--seed", type=int, default=SEED, help="of the first prompt; prompt i has seed + i")
    parser.add_argument("--processes", type=int, default=2, help="that share the prompts, one thread each")
    parser.add_argument("--readings", type=Path, help="a file that keeps each clip's; the next run goes on from it")
    parser.add_argument("--no-more", action="store_true", help="sum up the readings that are there, render nothing")
    parser.add_argument("--out", type=Path, help=f"a file for the JSON, such as {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    text = json.dumps(measure(options), indent=2) + "\n"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    print(text, end="")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    clips = readings(options)
    names = [name for name in PRESETS if clips.get(name)]
    torch.set_num_threads(1)
    engine = load_engine(options.model, "cpu")
    rows = [row_of(engine, name, clips[name], set(names)) for name in names]
    if EXACT in names:
        exact = rows[names.index(EXACT)]
        for row in rows:
            row["seconds_ratio"] = round(exact["cpu_seconds"]["median"] / row["cpu_seconds"]["median"], 2)
            for count in ("gigaflops", "modelscope_gigaflops"):
                row[f"{count}_ratio"] = round(exact[count] / row[count], 2)
    return {
        "benchmark": "presets",
        "commit": commit(),
        "model": engine.card.name,
        "first_seed": options.seed,
        "aspects": list(ASPECTS),
        "presets": rows,
        "device": describe_device("cpu"),
        "versions": versions(),
    }


def readings(options: argparse.Namespace) -> dict[str, list[Clip]]:
    """What was read of each clip, by preset: of this run, and of those before it that kept theirs in the same file."""
    kept: Path | None = options.readings
    lines = kept.read_text(encoding="utf-8").splitlines() if kept and kept.is_file() else []
    found: dict[tuple[int, str], Clip] = {(clip["seed"], clip["preset"]): clip for clip in map(json.loads, lines)}
    jobs = []
    for seed, caption in enumerate(prompts(options.seed, options.prompts), start=options.seed):
        missing = [name for name in options.presets if (seed, name) not in found]
        if missing and not options.no_more:
            jobs.append((seed, caption, missing))
    with multiprocessing.get_context("spawn").Pool(options.processes, Renderer.load, (options.model,)) as pool:
        for done, clips in enumerate(pool.imap_unordered(Renderer.judge, jobs), start=1):
            found |= {(clip["seed"], clip["preset"]): clip for clip in clips}
            print(f"{done} of {len(jobs)} prompts", file=sys.stderr, flush=True)
            if kept:
                with kept.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(clip) + "\n" for clip in clips)
    by_preset: dict[str, list[Clip]] = {name: [] for name in PRESETS}
    for (_, name), clip in sorted(found.items()):
        by_preset[name].append(clip)
    return by_preset


class Renderer:
    """One process: renders a prompt with every preset in turn and reads the clips."""

    engine: Engine

    @classmethod
    def load(cls, model: Path) -> None:
        torch.set_num_threads(1)
        cls.engine = load_engine(model, "cpu")

    @classmethod
    def judge(cls, job: tuple[int, Caption, list[str]]) -> list[Clip]:
        seed, caption, names = job
        return [cls._clip(seed, caption, name, names) for name in names]

    @classmethod
    def _clip(cls, seed: int, caption: Caption, name: str, names: list[str]) -> Clip:
        spec = cls.engine.card.spec(caption.text, seed=seed, preset=name)
        started = time.process_time()
        frames = render_one(cls.engine, spec)
        seconds = time.process_time() - started
        clip = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
        judged = Judged(caption, read(clip))
        right = {aspect: judged.right(aspect) for aspect in ASPECTS}
        outlines = round(neatness(clip, caption.shape), 4)
        clip_read = {"seed": seed, "preset": name, **right, "outlines": outlines, "seconds": round(seconds, 3)}
        return {**clip_read, "beside": names}


def row_of(engine: Engine, name: str, clips: list[Clip], names: set[str]) -> dict[str, Any]:
    preset = PRESETS[name]
    timed = [clip["seconds"] for clip in clips if names <= set(clip["beside"])]

    def mean(values: list[float]) -> float:
        return round(sum(values) / len(values), 4)

    return {
        "preset": name,
        "prompts": len(clips),
        "steps": preset.steps(engine.card.steps),
        "sampler": preset.sampler,
        **{aspect: mean([clip[aspect] for clip in clips]) for aspect in ASPECTS},
        "all": mean([all(clip[aspect] for aspect in ASPECTS) for clip in clips]),
        "outlines": mean([clip["outlines"] for clip in clips]),
        "cpu_seconds": summary(timed or [clip["seconds"] for clip in clips], digits=2),
        "timed": len(timed),
        "gigaflops": counted(engine, name),
        "modelscope_gigaflops": round(preset.gigaflops(preset.steps(MODELSCOPE_STEPS)), 1),
    }


def counted(engine: Engine, name: str) -> float:
    """GFLOP of one clip, as torch counts them while it renders: two texts, all passes, decoding."""
    # Words that no clip has used, so that no part is taken from a cache.
    spec = engine.card.spec(f"a red circle, {name}", seed=1, preset=name)
    with FlopCounterMode(display=False) as counter:
        render_one(engine, spec)
    return round(float(counter.get_total_flops()) / 1e9, 1)


if __name__ == "__main__":
    main()
