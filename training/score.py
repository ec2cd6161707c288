"""python -m training.score: render random prompts with the product's engine and read the clips with arithmetic.

The reader is tested first: on exact renderings it must be right every time, or the run stops. Then it reads renderings
that went through the model's own autoencoder, which is the most any text could get. Only then is the model scored.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from generations.engine.base import render_one
from generations.engine.presets import PRESETS
from training.captions import CLASSES, Caption
from training.check import Judged, prompts, share
from training.clips import decode, encode
from training.export import RELEASED
from training.released import load_autoencoder, load_world
from training.scorer import MISSING, neatness, read
from training.sheet import contact_sheet
from training.world import World, random_scene, render

# Training with seed 1 draws from seeds below 10 million and from 1,010,000,000 on; scores use their own.
SEED = 910_000_000
HAND_WRITTEN = Path(__file__).with_name("hand_written.tsv")
# Prompts of people who have not read what the model draws. Whatever it makes of them should be clean.
OUTSIDE = Path(__file__).with_name("outside.txt")
# An outline that fits some shape this well is no accident: noise and smears stay below 0.6.
CLEAN = 0.75
# A sheet that is shown: so many clips, so many frames of each.
SHEET_ROWS, SHEET_COLUMNS = 12, 6
# No token of these is in any training caption.
UNKNOWN_WORDS = ("elegant", "wooden", "delicious", "yesterday", "friendly", "electric", "grandmother", "purring")


@dataclass(frozen=True)
class Job:
    """What one worker process renders: prompt i with seed first_seed + i."""

    model: Path
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    changes: dict[str, Any]
    threads: int


def render_job(job: Job) -> tuple[torch.Tensor, float]:
    """Return clips (n, frames, 3, 64, 64) in -1..1 and the seconds one clip took."""
    from generations.engine.modelscope.pipeline import ModelScopeEngine

    torch.set_num_threads(job.threads)
    engine = ModelScopeEngine(job.model, "cpu")
    started = time.monotonic()
    clips = []
    for prompt, seed in zip(job.prompts, job.seeds, strict=True):
        frames = render_one(engine, engine.card.spec(prompt, seed=seed, **job.changes))
        clips.append(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1)
    return torch.stack(clips), (time.monotonic() - started) / max(1, len(clips))


def render_all(
    model: Path,
    texts: Sequence[str],
    seeds: Sequence[int],
    *,
    changes: dict[str, Any],
    processes: int,
) -> tuple[torch.Tensor, float]:
    """Share the prompts out over processes, one thread each: on few cores faster than one process with all of them."""
    parts = [
        Job(model, tuple(texts[i::processes]), tuple(seeds[i::processes]), changes, threads=1) for i in range(processes)
    ]
    if processes == 1:
        done = [render_job(parts[0])]
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            done = pool.map(render_job, parts)
    clips = torch.empty(len(texts), *done[0][0].shape[1:])
    for i, (part, _seconds) in enumerate(done):
        clips[i::processes] = part
    return clips, sum(seconds for _part, seconds in done) / len(done)


def judge_renderings(
    world: World, count: int, seed: int, through: Callable[[torch.Tensor], torch.Tensor]
) -> list[Judged]:
    """Read rendered scenes, each sent through a function first."""
    random = torch.Generator().manual_seed(seed)
    judged = []
    for i in range(count):
        scene = random_scene(random, world, motion=world.motions[i % len(world.motions)])
        clip = through(render(scene))
        wanted = Caption("", scene.colour, scene.shape, scene.motion, scene.background, scene.size)
        judged.append(Judged(wanted, read(clip, world), neatness(clip, scene.shape, world)))
    return judged


def line(name: str, judged: Sequence[Judged], world: World) -> str:
    """One line: shares right per aspect, and all of them at once."""
    shares = [f"{aspect} {share(list(judged), aspect):.1%}" for aspect in world.aspects]
    everything = sum(all(item.right(aspect) for aspect in world.aspects) for item in judged) / len(judged)
    outlines = sum(item.outline for item in judged) / len(judged)
    return f"{name} ({len(judged)}): {', '.join(shares)}, all {everything:.1%}, outlines {outlines:.3f}"


def table(judged: Sequence[Judged], world: World) -> str:
    """Markdown table: every class with its share right and what it was taken for."""
    rows = ["| aspect | asked for | right | of | taken for |", "|---|---|---|---|---|"]
    for aspect in world.aspects:
        for name in CLASSES[aspect]:
            asked = [item for item in judged if getattr(item.wanted, aspect) == name]
            if asked:
                right = sum(item.right(aspect) for item in asked)
                wrong = [getattr(item.got, aspect) for item in asked if not item.right(aspect)]
                counts = ", ".join(f"{other} {wrong.count(other)}" for other in sorted(set(wrong)))
                rows.append(f"| {aspect} | {name} | {right / len(asked):.0%} | {len(asked)} | {counts} |")
    return "\n".join(rows)


def with_unknown_words(wanted: Sequence[Caption], seed: int) -> list[Caption]:
    """Put one or two words that the model was never taught into each prompt: they should change nothing."""
    random = torch.Generator().manual_seed(seed)
    changed = []
    for item in wanted:
        words = item.text.split()
        for _ in range(int(torch.randint(1, 3, (), generator=random))):
            place = int(torch.randint(len(words) + 1, (), generator=random))
            words.insert(place, UNKNOWN_WORDS[int(torch.randint(len(UNKNOWN_WORDS), (), generator=random))])
        changed.append(replace(item, text=" ".join(words)))
    return changed


def hand_written(world: World) -> list[Caption]:
    """The prompts of hand_written.tsv that ask for nothing outside a world."""
    with HAND_WRITTEN.open(encoding="utf-8", newline="") as file:
        listed = [Caption(**row) for row in csv.DictReader(file, delimiter="\t")]
    return [item for item in listed if world.has(item.colour, item.shape, item.motion, item.background, item.size)]


def outside() -> list[str]:
    """The prompts of outside.txt: none asks for anything that a demo model was taught."""
    return OUTSIDE.read_text(encoding="utf-8").splitlines()


def clean(clip: torch.Tensor, world: World) -> bool:
    """Does a clip show one neat shape, whichever it is, in most of its frames?"""
    got = read(clip, world)
    return got.shape != MISSING and neatness(clip, got.shape, world) >= CLEAN


def score_outside(arguments: argparse.Namespace, world: World, changes: dict[str, Any]) -> None:
    """Print how many prompts from outside the world still gave a clean clip."""
    texts = outside()
    seeds = [arguments.seed + i for i in range(len(texts))]
    clips, _seconds = render_all(
        arguments.model, texts, seeds, changes=changes, processes=arguments.processes
    )  # fmt: skip
    for text, clip in zip(texts, clips, strict=True):
        if not clean(clip, world):
            print(f"  not clean: {text} -> {read(clip, world)}")
    print(f"outside the world ({len(texts)}): clean {sum(clean(clip, world) for clip in clips) / len(texts):.1%}")
    if arguments.sheet:
        contact_sheet(arguments.sheet, clips[:SHEET_ROWS], texts[:SHEET_ROWS], columns=SHEET_COLUMNS, enlarge=2)


def chosen_prompts(arguments: argparse.Namespace, world: World) -> list[Caption]:
    if arguments.hand_written:
        return hand_written(world)
    unseen = True if arguments.unseen_pairs else None
    wanted = prompts(arguments.seed, arguments.prompts, world, held_out=arguments.held_out, unseen=unseen)
    return with_unknown_words(wanted, arguments.seed) if arguments.unknown_words else wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=RELEASED, help="model folder")
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=SEED)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--held-out", action="store_true", help="phrasings that no training caption used")
    which.add_argument("--unseen-pairs", action="store_true", help="colours and shapes never trained on together")
    which.add_argument("--unknown-words", action="store_true", help="words strewn in that no training caption used")
    which.add_argument("--outside", action="store_true", help="the prompts of training/outside.txt: is the clip clean?")
    which.add_argument("--hand-written", action="store_true", help="the prompts of training/hand_written.tsv")
    parser.add_argument("--preset", choices=PRESETS, help="instead of the one that nobody has to ask for")
    parser.add_argument("--guidance", type=float, help="instead of the folder's own default")
    parser.add_argument("--steps", type=int, help="likewise")
    parser.add_argument("--frames", type=int, help="likewise")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the first clips here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.processes)

    world = load_world(arguments.model)
    truth = judge_renderings(world, 200, arguments.seed + 1, lambda clip: clip)
    print(line("exact renderings", truth, world), flush=True)
    if not all(item.right(aspect) for item in truth for aspect in world.aspects):
        raise SystemExit("The reader misreads exact renderings; its figures would mean nothing.")
    autoencoder = load_autoencoder(arguments.model)
    ceiling = judge_renderings(
        world, 48, arguments.seed + 2, lambda clip: decode(autoencoder, encode(autoencoder, clip))
    )
    print(line("renderings through the autoencoder", ceiling, world), flush=True)

    asked = {
        "guidance_scale": arguments.guidance, "steps": arguments.steps, "frames": arguments.frames,
        "preset": arguments.preset,
    }  # fmt: skip
    changes = {name: value for name, value in asked.items() if value is not None}
    if arguments.outside:
        score_outside(arguments, world, changes)
        return
    wanted = chosen_prompts(arguments, world)
    clips, seconds = render_all(
        arguments.model, [item.text for item in wanted], [arguments.seed + i for i in range(len(wanted))],
        changes=changes, processes=arguments.processes,
    )  # fmt: skip
    judged = [
        Judged(item, read(clip, world), neatness(clip, item.shape, world))
        for item, clip in zip(wanted, clips, strict=True)
    ]
    print(line("model", judged, world))
    for item in judged:
        if not all(item.right(aspect) for aspect in world.aspects):
            print(f"  wrong: {item.wanted.text} -> {item.got}")
    print(f"{seconds:.2f} s per clip on one thread, {arguments.processes} at a time\n")
    print(table(judged, world))
    if arguments.sheet:
        texts = [item.text for item in wanted[:SHEET_ROWS]]
        contact_sheet(arguments.sheet, clips[:SHEET_ROWS], texts, columns=SHEET_COLUMNS, enlarge=2)


if __name__ == "__main__":
    main()
