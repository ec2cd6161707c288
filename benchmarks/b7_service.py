"""B7, the service: queued jobs through Django, RQ and a worker, against ModelScope's classes called serially, as JSON.

    python -m benchmarks.b7_service
    python -m benchmarks.b7_service --tiny      a minute, to see that it runs; no figures come of it

The parts are the real ones: rows in SQLite, an embedded Valkey server, a worker process (`manage.py rqworker gpu`).
Stock (benchmarks/service_stock.py) has no queue, no progress, no cancel and no record; it renders one job after the
other. The default model is ModelScope's architecture at a fifth of its width, where starting operations costs more than
they do, as on a large card. Sides in turn, each round in new processes; loading is not counted on either side.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from benchmarks.b5_cold_start import draw
from benchmarks.common import ROOT, commit, describe_device, summary, versions, write_result
from benchmarks.flops import clip_flops
from generations.engine import load_engine
from generations.engine.base import render_one
from generations.engine.card import DEMO_MODEL

# Longer than anything here takes on a machine that is ten times too slow.
PATIENCE = 900.0
POLL = 0.02
GUIDANCE = 9.0
# Levels of 255 between our frames and stock's: ours are rounded, stock's are cut off.
TOLERANCE = 2
CANCELS = 3

Figures = dict[str, Any]
"""Of one round of one side: seconds until each job was finished, seconds in all, and what only our side has."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        prog="python -m benchmarks.b7_service",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3, help="of each side (default: 3)")
    parser.add_argument(
        "--batch-sizes", type=int, nargs="+", default=[1, 4], help="BATCH_SIZE of the worker, each a side"
    )
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--side", type=int, default=64, help="pixels of a side (default: 64)")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--model", type=Path, help="a folder in ModelScope's format; demo for the demo model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the result to service-DEVICE.json in this folder")
    options = parser.parse_args()
    if options.tiny:
        options.jobs, options.rounds, options.steps = 5, 1, 2
    with tempfile.TemporaryDirectory(prefix="b7-") as scratch:
        result = measure(Path(scratch), options)
    print(json.dumps(result), flush=True)
    if options.out:
        write_result(options.out / f"service-{options.device.partition(':')[0]}.json", result)


def measure(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    model = model_folder(scratch, options)
    sides = ["stock", *(f"batch {size}" for size in options.batch_sizes)]
    rounds: dict[str, list[Figures]] = {side: [] for side in sides}
    videos: dict[str, list[Path]] = {}
    difference = None
    with Service(scratch, model, options) as service:
        for number in range(options.rounds):
            for side in sides:
                if side == "stock":
                    figures, frames = stock_round(scratch, model, options)
                    if difference is None:
                        difference = compared(model, frames, options)
                else:
                    figures, videos[side] = service.round(int(side.partition(" ")[2]))
                rounds[side].append(figures)
                told = {name: value for name, value in figures.items() if name != "finished"}
                print(f"service, round {number + 1}, {side}: {json.dumps(told)}", file=sys.stderr, flush=True)
        known = service.knows_batches
    first, *others = (videos[side] for side in sides[1:])
    ours = {side: rounds[side] for side in sides[1:]}
    result: dict[str, Any] = {
        "benchmark": f"B7 {options.jobs} queued jobs",
        "commit": commit(),
        "shapes": "tiny, no figures" if options.tiny else "as given below",
        "model": options.model.name if options.model else "ModelScope's architecture, dim 64 instead of 320, drawn",
        "job": {name: getattr(options, name) for name in ("frames", "side", "steps")},
        "jobs": options.jobs,
        "rounds": options.rounds,
        "order": sides,
        "stock": "ModelScope's classes in a process of their own, one job after the other, each written as an mp4",
        "ours": "Django, SQLite, RQ, embedded Valkey, one worker process; submitted while the worker waits",
        "worker_knows_batch_size": known,
        "difference": difference,
        "difference_of": "frames of the first job, largest, levels of 255",
        "jobs_per_minute": {
            side: summary([60 * options.jobs / figures["seconds"] for figures in found], digits=2)
            for side, found in rounds.items()
        },
        **{
            f"seconds_to_finished_p{percent}": {
                side: summary([float(np.percentile(figures["finished"], percent)) for figures in found])
                for side, found in rounds.items()
            }
            for percent in (50, 95)
        },
        "overhead_seconds_per_job": {
            side: summary([figures["overhead"] for figures in found])
            for side, found in ours.items()
            if all("overhead" in figures for figures in found)
        },
        "cancel_latency_steps": {
            side: summary([steps for figures in found for steps in figures["cancels"]], digits=2)
            for side, found in ours.items()
        },
        "largest_difference_between_batch_sizes": max(
            (video_difference(*pair) for other in others for pair in zip(first, other, strict=True)), default=0
        ),
    }
    per_minute = {side: found["median"] for side, found in result["jobs_per_minute"].items()}
    for side in ours:
        result[f"ratio_jobs_per_minute_{side.replace(' ', '_')}"] = round(per_minute[side] / per_minute["stock"], 3)
    if not options.model and not options.tiny:
        cells = options.side // 8
        flop = clip_flops(options.frames, cells, cells, steps=options.steps, decode=True, narrow=True)
        result["stock_gflop_per_job"] = round(flop / 1e9, 1)
    result["device"] = {**describe_device(options.device), "threads": options.threads}
    result["versions"] = versions()
    return result


def model_folder(scratch: Path, options: argparse.Namespace) -> Path:
    if options.model:
        return DEMO_MODEL if str(options.model) == "demo" else Path(options.model).resolve()
    draw(scratch / "weights", options, narrow=not options.tiny)
    return scratch / "weights" / "source"


def jobs_of(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Prompts and seeds; no two prompts are the same, so none is found encoded already."""
    return [(f"a red circle moving right, {number}", 1000 + number) for number in range(options.jobs)]


# --- stock


def stock_round(scratch: Path, model: Path, options: argparse.Namespace) -> tuple[Figures, npt.NDArray[np.uint8]]:
    save = scratch / "stock.npy"
    wanted = {
        "folder": str(model), "device": options.device, "threads": options.threads, "save": str(save),
        "steps": options.steps, "frames": options.frames, "height": options.side, "width": options.side,
        "jobs": jobs_of(options),
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.service_stock"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(wanted) + "\n", stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"B7: stock ended with {done.returncode}; its own words are above.")
    finished = json.loads(done.stdout.splitlines()[-1])["finished"]
    return {"finished": finished, "seconds": finished[-1]}, np.load(save)


def compared(model: Path, frames: npt.NDArray[np.uint8], options: argparse.Namespace) -> int:
    """Largest difference of our engine's frames from stock's; ends the run when they are not the same video."""
    engine = load_engine(model, options.device)
    prompt, seed = jobs_of(options)[0]
    ours = render_one(engine, engine.card.spec(prompt, seed=seed, **size_of(options)))
    difference = int(np.abs(ours.astype(int) - frames.astype(int)).max())
    if frames.std() == 0 or (difference > TOLERANCE and not options.device.startswith("cuda")):
        raise SystemExit(f"B7: frames are not equal to stock's ({difference} of 255), so no time is told.")
    return difference


def size_of(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "frames": options.frames, "width": options.side, "height": options.side, "steps": options.steps,
        "guidance_scale": GUIDANCE,
    }  # fmt: skip


# --- ours


class Service:
    """Database and queue server, as long as the context lasts; a worker for each round. Web and bot take no part."""

    def __init__(self, scratch: Path, model: Path, options: argparse.Namespace) -> None:
        self.options, self.data = options, scratch / "data"
        # Settings are read once, from here, by this process and by those that it starts; nothing of the shell's counts.
        os.environ |= dict.fromkeys(("DATABASE_URL", "REDIS_URL", "MEDIA_ROOT", "SECRET_KEY_FILE", "TURBO_LORA"), "")
        os.environ |= {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DJANGO_SETTINGS_MODULE": "t2vsite.settings",
            "DATA_DIR": str(self.data),
            "MODEL": str(model),
            "DEVICE": options.device,
            "OMP_NUM_THREADS": str(options.threads),
            "PYTHONUNBUFFERED": "1",
        }
        self.numbers = iter(range(1, 1_000_000))

    def __enter__(self) -> Service:
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        from generations import embedded

        self.knows_batches = hasattr(settings, "BATCH_SIZE")
        command = embedded.valkey_command(settings.DATA_DIR, settings.REDIS_SOCKET)
        self.queue = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(lambda: embedded.answers(settings.REDIS_URL), "the queue server")
        call_command("migrate", verbosity=0, interactive=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.queue.terminate()
        self.queue.wait()

    def round(self, batch_size: int) -> tuple[Figures, list[Path]]:
        """All jobs once, with a new worker; then a few long jobs that are cancelled."""
        from generations.models import Status

        with self.worker(batch_size):
            self.finished([self.submit("warm up", 0)])
            before = time.time()
            rows = self.finished([self.submit(*job) for job in jobs_of(self.options)])
            if any(row.status != Status.SUCCEEDED for row in rows):
                raise SystemExit(f"B7: a job failed: {[row.traceback or row.status for row in rows]}")
            finished = [(row.finished_at - row.created_at).total_seconds() for row in rows]
            seconds = max(row.finished_at.timestamp() for row in rows) - before
            busy = [row.render_seconds for row in rows]
            cancels = [self.cancelled_after(statistics.median(busy) / self.options.steps) for _ in range(CANCELS)]
        figures = {
            "finished": finished,
            "seconds": seconds,
            "cancels": cancels,
            # With more than one job in a render, their seconds overlap and cannot be taken from the whole.
            **({"overhead": (seconds - sum(busy)) / len(rows)} if batch_size == 1 else {}),
        }
        return figures, [Path(row.file.path) for row in rows]

    def submit(self, prompt: str, seed: int, **changes: Any) -> Any:
        from generations import services

        number = next(self.numbers)
        # A person each: a limit says how many of one may wait.
        person = services.Person(user_id=number)
        size = {**size_of(self.options), **changes}
        return services.submit(person, prompt, request_key=f"b7:{number}", seed=seed, **size)

    def finished(self, rows: list[Any]) -> list[Any]:
        from generations.models import UNFINISHED, Generation

        keys = [row.pk for row in rows]
        wait_for(
            lambda: not Generation.objects.filter(pk__in=keys, status__in=UNFINISHED).exists(), "the jobs", self.alive
        )
        return list(Generation.objects.filter(pk__in=keys).order_by("pk"))

    def cancelled_after(self, seconds_per_step: float) -> float:
        """Steps from a cancel to the row's end. The row names seconds; a step's are those of the jobs before."""
        from generations import operating

        row = self.submit("to be cancelled", 1, steps=100)

        def begun() -> bool:
            row.refresh_from_db()
            return row.progress > 0 or row.is_finished

        wait_for(begun, "the job that is to be cancelled", self.alive)
        operating.cancel(row, by="benchmark")
        [row] = self.finished([row])
        # The row itself forgets when it was asked.
        asked = row.events.filter(kind="cancel requested").first()
        if asked is None:
            raise SystemExit(
                f"B7: the job that was to be cancelled has {row.status} without having been asked to stop."
            )
        return float((row.finished_at - asked.at).total_seconds() / seconds_per_step)

    @contextlib.contextmanager
    def worker(self, batch_size: int) -> Iterator[None]:
        log = self.data / "worker.log"
        command = [sys.executable, str(ROOT / "manage.py"), "rqworker", "gpu"]
        environment = {**os.environ, "BATCH_SIZE": str(batch_size)}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_for(lambda: "Listening on" in log.read_text(errors="replace"), "the worker", self.alive)
            yield
        except BaseException:
            print("\n".join(log.read_text(errors="replace").splitlines()[-20:]), file=sys.stderr)
            raise
        finally:
            self.process.terminate()
            self.process.wait()

    def alive(self) -> bool:
        return self.process.poll() is None


def wait_for(happened: Any, what: str, possible: Any = lambda: True) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if not possible() or time.monotonic() > deadline:
            raise SystemExit(f"B7: waited in vain for {what}.")
        time.sleep(POLL)


# --- equality


def video_difference(first: Path, second: Path) -> int:
    """Largest difference of two mp4 files' pictures, in levels of 255; 0 for equal files."""
    if first.read_bytes() == second.read_bytes():
        return 0
    one, other = pictures(first), pictures(second)
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def pictures(path: Path) -> npt.NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


if __name__ == "__main__":
    main()
