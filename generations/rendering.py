"""From claimed rows to videos in the storage: what a worker process does with generations."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.utils import timezone
from django.utils.translation import gettext_noop
from rq.timeouts import JobTimeoutException

from generations import batch, tasks
from generations.engine import load_engine
from generations.engine.base import Engine, EngineError, Outcome, RenderCancelled
from generations.engine.video import VideoFile, probe_encoder, write_poster, write_video
from generations.lease import LeaseKeeper, patiently
from generations.models import MAX_ATTEMPTS, Generation, Status, media_token
from generations.served import served_model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

logger = logging.getLogger(__name__)

# Who holds the leases: this process and no other, not even its successor under the same process id.
OWNER = f"{socket.gethostname()[:60]}.{os.getpid()}.{secrets.token_hex(4)}"

GENERAL_REASON = gettext_noop("Something went wrong while making this video. The operators can see what happened.")
TOO_SLOW = gettext_noop("This video took too long to make. Please ask for fewer frames, fewer steps or a smaller size.")

# Set from other threads and signal handlers; read after every step.
shutdown_due = threading.Event()
stop_pressed = threading.Event()


class WorkerStopping(RenderCancelled):
    """The process was asked to end and its grace time is over."""


@functools.cache
def engine() -> Engine:
    """The model of this process, loaded on first use and never again."""
    started = time.monotonic()
    loaded = load_engine(served_model(), settings.DEVICE, settings.TURBO_LORA, settings.ENGINE_ACCELERATION)
    logger.info("model loaded: %s in %.1f s", loaded.card.name, time.monotonic() - started)
    return loaded


def device() -> str:
    """What this process renders on, and its memory; "" as long as no model is loaded."""
    return engine().describe_device() if engine.cache_info().currsize else ""


def preload() -> None:
    """Prove that this process can make videos, before it takes any job. Raises EngineError or CheckpointError."""
    tidy_workshop()
    probe_encoder()
    engine().self_test()


def render_next(owner: str = OWNER) -> bool:
    """Render the row whose turn it is, and what may be rendered with it; False when nothing is queued.

    Whatever happens to a row is recorded in it.
    """
    maker = engine()
    stop_pressed.clear()
    rows = batch.claim(owner, maker)
    if not rows:
        return False
    started = time.monotonic()
    for row in rows:
        logger.info("#%s: rendering, attempt %s", row.pk, row.attempt)
    with LeaseKeeper(rows, owner) as lease:
        render = Render(maker, owner, lease, started, alone=len(rows) == 1)
        reporters = [StepReporter(row, owner, lease) for row in rows]
        batch.render(rows, maker, reporters, lambda row, outcome: _conclude(row, outcome, render))
    return True


@dataclass(frozen=True)
class Render:
    """What rows that are rendered together share. started: by the monotonic clock."""

    maker: Engine
    owner: str
    lease: LeaseKeeper
    started: float
    alone: bool


def _conclude(row: Generation, outcome: Outcome | SystemExit, render: Render) -> None:
    """Store the frames, or record what ended the row. Raises DatabaseError when nothing can be recorded."""
    owner = render.owner
    render.lease.alive()
    try:
        if isinstance(outcome, BaseException):
            raise outcome
        _store(row, outcome, render)
    except WorkerStopping:
        _put_back(row, owner, "the worker was stopped")
    except RenderCancelled:
        # When the lease is gone this changes nothing: the row belongs to somebody else.
        patiently(lambda: row.stopped(owner))
    except EngineError as error:
        reason = f"{error}"
        if error.retryable and row.attempt < MAX_ATTEMPTS:
            logger.warning("#%s: attempt %s failed and will be repeated: %s", row.pk, row.attempt, reason)
            _put_back(row, owner, reason)
        else:
            _fail(row, owner, error.public_reason, reason)
    except DatabaseError:
        raise
    except (Exception, SystemExit) as error:
        too_slow = isinstance(error, JobTimeoutException)
        if too_slow and not render.alone:
            _put_back(row, owner, "the time limit of one video was over for several")
        else:
            _fail(row, owner, TOO_SLOW if too_slow else GENERAL_REASON, repr(error))


def _put_back(row: Generation, owner: str, reason: str) -> None:
    if patiently(lambda: row.retry_later(owner, reason=reason)):
        tasks.ring(row)


def _store(row: Generation, frames: npt.NDArray[np.uint8], render: Render) -> None:
    maker, owner, spec = render.maker, render.owner, row.spec()
    with tempfile.TemporaryDirectory(prefix="render-", dir=workshop()) as folder:
        facts = {**asdict(spec), "model": maker.card.name, "licence": maker.card.licence}
        clip = write_video(frames, Path(folder) / "a.mp4", spec.fps, upscale=maker.card.upscale, metadata=facts)
        poster = write_poster(frames[len(frames) // 2], Path(folder) / "a.jpg", upscale=maker.card.upscale)
        render.lease.alive()
        if patiently(lambda: row.cancel_wanted(owner)):
            raise RenderCancelled
        name = f"videos/{timezone.now():%Y/%m}/{media_token()}"
        seconds = time.monotonic() - render.started
        video = {**_facts(row, maker, clip), "file": f"{name}.mp4", "poster": f"{name}.jpg"}
        if not patiently(lambda: row.about_to_store(owner, render_seconds=seconds, **video)):
            raise RenderCancelled
        # The poster first: whoever finds the video after a crash may take it for complete.
        video["poster"] = _keep(poster, video["poster"])
        try:
            video["file"] = _keep(clip.path, video["file"])
        except BaseException:
            default_storage.delete(video["poster"])
            raise
    _record(row, owner, seconds, video)


def _facts(row: Generation, maker: Engine, clip: VideoFile) -> dict[str, Any]:
    return {
        "sha256": clip.sha256,
        "video_width": clip.width,
        "video_height": clip.height,
        "duration": clip.duration,
        "model_name": maker.card.name[:200],
        "model_licence": maker.card.licence[:200],
        "ignored_text": maker.ignored_text(row.spec().prompt),
    }


def _record(row: Generation, owner: str, seconds: float, video: dict[str, Any]) -> None:
    file, poster = video["file"], video["poster"]
    won = patiently(lambda: row.succeed(owner, seconds=seconds, **video))
    # A commit whose answer was lost looks like a lost lease the second time, so the row itself is asked.
    if won or patiently(lambda: Generation.objects.filter(pk=row.pk, file=file, status=Status.SUCCEEDED).exists()):
        logger.info("#%s: finished in %.1f s", row.pk, seconds)
        return
    logger.warning("#%s: the lease was lost, the video is thrown away", row.pk)
    default_storage.delete(file)
    default_storage.delete(poster)


def _fail(row: Generation, owner: str, public_reason: str, detail: str) -> None:
    # PostgreSQL takes no NUL, and a runaway recursion would fill the row.
    trace = traceback.format_exc().replace("\0", "")[-20_000:]
    logger.error("#%s: failed: %s", row.pk, detail, exc_info=True)
    patiently(
        lambda: row.fail(owner, public_reason=public_reason, traceback=trace, detail=detail.replace("\0", "")[:500])
    )


class StepReporter:
    """After every step: publish progress, renew the lease, and stop when somebody wants it."""

    # An update per step would be most of the database's work, and nobody reads faster.
    PAUSE = 0.5

    def __init__(self, row: Generation, owner: str, lease: LeaseKeeper) -> None:
        self.row = row
        self.owner = owner
        self.lease = lease
        self._percent = 0
        self._reported_at = float("-inf")

    def __call__(self, done: int, total: int) -> None:
        self.lease.alive()
        try:
            if stop_pressed.is_set():
                self.row.cancel(actor="stop button of the queue's page")
            if self.row.cancel_wanted(self.owner) or self.row.pk in self.lease.lost:
                raise RenderCancelled
            self._report(done, total)
        except DatabaseError as error:
            # A short outage must not cost the work done so far; the next step asks again.
            logger.warning("#%s: no progress reported: %s", self.row.pk, type(error).__name__)
            close_old_connections()
        # After the cancel: what nobody wants any more must not go back to the queue.
        if shutdown_due.is_set():
            raise WorkerStopping

    def _report(self, done: int, total: int) -> None:
        # 100 is for the finished file: decoding and encoding are still to come.
        percent = min(99, done * 100 // total)
        now = time.monotonic()
        if percent == self._percent or now - self._reported_at < self.PAUSE:
            return
        if not self.row.report_progress(self.owner, percent):
            raise RenderCancelled
        self._percent, self._reported_at = percent, now


def _keep(path: Path, name: str) -> str:
    with FinishedFile(path) as content:
        return default_storage.save(name, content)


class FinishedFile(File):  # type: ignore[type-arg]
    """A file that the local storage may move instead of copy: it appears whole, or not at all."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        return str(self._path)


def workshop() -> Path:
    """A folder for unfinished files, on the media's own file system where that is local: a move must not copy."""
    root = Path(default_storage.path("")) if isinstance(default_storage, FileSystemStorage) else settings.DATA_DIR
    folder = Path(root) / ".unfinished"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tidy_workshop() -> None:
    """Remove what killed workers left unfinished; a day old, so that it cannot be another worker's."""
    for folder in workshop().glob("render-*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > 86_400:
                shutil.rmtree(folder, ignore_errors=True)
