"""A finished video that is too large to be sent: encoded once more, smaller. It is never rendered again."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from django.core.files.storage import default_storage
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone

from generations import deleted_files
from generations.engine.video import VideoFile, shrink_video
from generations.lease import patiently
from generations.models import MAX_WORKER_DEATHS, Generation, media_token
from generations.rendering import OWNER, FinishedFile, workshop

logger = logging.getLogger(__name__)

# Bytes. Chat networks take 50 MB from a bot; what stands between may take less, so half of the old size at most.
LARGEST = 40_000_000


def shrink_next(owner: str = OWNER) -> bool:
    """Make one video smaller; False when none is too large. Whatever happens to it is recorded in the row."""
    row = Generation.objects.claim_too_large(owner)
    if row is None:
        return False
    try:
        _shrink(row, owner)
    except DatabaseError:
        # Nothing can be recorded. The lease lapses and another worker takes it.
        raise
    except (Exception, SystemExit) as error:
        reason = f"{error!r}".replace("\0", "")[:500]
        logger.exception("#%s: cannot be made smaller", row.pk)
        patiently(lambda: row.not_made_smaller(owner, reason=reason))
    return True


def _shrink(row: Generation, owner: str) -> None:
    if row.events.filter(kind="making smaller").count() > MAX_WORKER_DEATHS:
        raise ValueError(f"{MAX_WORKER_DEATHS} workers died on it")
    large = str(row.file.name)
    with tempfile.TemporaryDirectory(prefix="render-", dir=workshop()) as folder:
        original = Path(folder) / "large.mp4"
        with default_storage.open(large, "rb") as stored, original.open("wb") as copy:
            shutil.copyfileobj(stored, copy)
        size = original.stat().st_size
        clip = shrink_video(original, Path(folder) / "small.mp4", min(size // 2, LARGEST))
        if clip.size >= size:
            raise ValueError(f"{size} bytes became {clip.size}")
        with FinishedFile(clip.path) as content:
            name = default_storage.save(f"videos/{timezone.now():%Y/%m}/{media_token()}.mp4", content)
    won = _record(row, owner, name, clip, f"{size} -> {clip.size} bytes")
    logger.info("#%s: made smaller, %s -> %s bytes", row.pk, size, clip.size)
    # After the commit: until then the row speaks of the old file.
    transaction.on_commit(lambda: deleted_files.delete([large if won else name]))


def _record(row: Generation, owner: str, name: str, clip: VideoFile, detail: str) -> bool:
    won = patiently(lambda: row.made_smaller(owner, detail=detail, file=name, sha256=clip.sha256))
    # A commit whose answer was lost looks like a lost lease the second time, so the row itself is asked.
    return won or patiently(lambda: Generation.objects.filter(pk=row.pk, file=name).exists())
