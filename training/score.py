"""python -m training.score: render random prompts with the product's engine and read the clips with arithmetic.

The reader is tested first: on exact renderings it must be right every time, or the run stops. Then it reads renderings
that went through the model's own autoencoder, which is the most any text could get. Only then is the model scored.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.captions import Caption
from training.check import ASPECTS, Judged, prompts, share
from training.clips import decode, encode
from training.export import RELEASED
from training.scorer import neatness, read
from training.sheet import contact_sheet
from training.upstream import Network, build_autoencoder
from training.world import COLOURS, MOTIONS, SHAPES, random_scene, render

# Training with seed 1 draws from seeds below 10 million and from 1,010,000,000 on; scores use their own.
SEED = 910_000_000
CLASSES = {"colour": tuple(COLOURS), "shape": SHAPES, "motion": MOTIONS}


@dataclass(frozen=True)
class Job:
    """What one worker process renders: prompt i with seed first_seed + i."""

    model: Path
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    changes: dict[str, float]
    threads: int


def render_job(job: Job) -> tuple[torch.Tensor, float]:
    """Return clips (n, frames, 3, 64, 64) in -1..1 and the seconds one clip took."""
    from generations.engine.modelscope.pipeline import ModelScopeEngine

    torch.set_num_threads(job.threads)
    engine = ModelScopeEngine(job.model, "cpu")
    started = time.monotonic()
    clips = []
    for prompt, seed in zip(job.prompts, job.seeds, strict=True):
        frames = engine.render([engine.card.spec(prompt, seed=seed, **job.changes)], lambda done, total: None)[0]
        clips.append(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1)
    return torch.stack(clips), (time.monotonic() - started) / max(1, len(clips))


def render_all(
    model: Path,
    texts: Sequence[str],
    seeds: Sequence[int],
    *,
    changes: dict[str, float],
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


def judge_renderings(count: int, seed: int, through: Callable[[torch.Tensor], torch.Tensor]) -> list[Judged]:
    """Read rendered scenes, each sent through a function first."""
    random = torch.Generator().manual_seed(seed)
    judged = []
    for _ in range(count):
        scene = random_scene(random)
        clip = through(render(scene))
        wanted = Caption("", scene.colour, scene.shape, scene.motion)
        judged.append(Judged(wanted, read(clip), neatness(clip, scene.shape)))
    return judged


def load_autoencoder(model: Path) -> Network:
    """The model folder's autoencoder, with its encoder."""
    saved = torch.load(model / "VQGAN_autoencoder.pth", weights_only=True)["state_dict"]
    autoencoder = build_autoencoder()
    autoencoder.load_state_dict({name.removeprefix("first_stage_model."): v.float() for name, v in saved.items()})
    return autoencoder.eval()


def line(name: str, judged: Sequence[Judged]) -> str:
    """One line: shares right per aspect, and all three at once."""
    shares = [f"{aspect} {share(list(judged), aspect):.1%}" for aspect in ASPECTS]
    everything = sum(all(item.right(aspect) for aspect in ASPECTS) for item in judged) / len(judged)
    outlines = sum(item.outline for item in judged) / len(judged)
    return f"{name} ({len(judged)}): {', '.join(shares)}, all three {everything:.1%}, outlines {outlines:.3f}"


def table(judged: Sequence[Judged]) -> str:
    """Markdown table: every class with its share right and what it was taken for."""
    rows = ["| aspect | asked for | right | of | taken for |", "|---|---|---|---|---|"]
    for aspect in ASPECTS:
        for name in CLASSES[aspect]:
            asked = [item for item in judged if getattr(item.wanted, aspect) == name]
            if asked:
                right = sum(item.right(aspect) for item in asked)
                wrong = [getattr(item.got, aspect) for item in asked if not item.right(aspect)]
                counts = ", ".join(f"{other} {wrong.count(other)}" for other in sorted(set(wrong)))
                rows.append(f"| {aspect} | {name} | {right / len(asked):.0%} | {len(asked)} | {counts} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=RELEASED, help="model folder")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--held-out", action="store_true", help="phrasings that no training caption used")
    parser.add_argument("--guidance", type=float, help="instead of the folder's own default")
    parser.add_argument("--steps", type=int, help="likewise")
    parser.add_argument("--frames", type=int, help="likewise")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the first 16 clips here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.processes)

    truth = judge_renderings(200, arguments.seed + 1, lambda clip: clip)
    print(line("exact renderings", truth), flush=True)
    if not all(item.right(aspect) for item in truth for aspect in ASPECTS):
        raise SystemExit("The reader misreads exact renderings; its figures would mean nothing.")
    autoencoder = load_autoencoder(arguments.model)
    ceiling = judge_renderings(48, arguments.seed + 2, lambda clip: decode(autoencoder, encode(autoencoder, clip)))
    print(line("renderings through the autoencoder", ceiling), flush=True)

    wanted = prompts(arguments.seed, arguments.prompts, held_out=arguments.held_out)
    changes = {"guidance_scale": arguments.guidance, "steps": arguments.steps, "frames": arguments.frames}
    clips, seconds = render_all(
        arguments.model, [item.text for item in wanted], [arguments.seed + i for i in range(len(wanted))],
        changes={name: value for name, value in changes.items() if value is not None}, processes=arguments.processes,
    )  # fmt: skip
    judged = [Judged(item, read(clip), neatness(clip, item.shape)) for item, clip in zip(wanted, clips, strict=True)]
    print(line("model", judged))
    print(f"{seconds:.2f} s per clip on one thread, {arguments.processes} at a time\n")
    print(table(judged))
    if arguments.sheet:
        contact_sheet(arguments.sheet, clips[:16], [item.text for item in wanted[:16]])


if __name__ == "__main__":
    main()
