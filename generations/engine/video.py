"""Frames to an mp4 that every phone and browser plays, and to a poster. PyAV and pillow; no torch, no Django."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, SupportsFloat

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType
from av.video.reformatter import ColorRange
from PIL import Image

from generations.engine.base import EngineError, gettext_noop

NOT_SAVED = gettext_noop("The video was made but could not be saved. Please try again later.")
NOTHING_TO_SAVE = gettext_noop("No video came out. Please try again.")

MAX_FPS = 240
TITLE_LENGTH = 200
# Telegram's limits for a thumbnail.
POSTER_SIDE, POSTER_BYTES = 320, 200_000
BT709 = 1
# ITU-R BT.709 from 8-bit RGB to video range (luma 16..235, chroma 16..240), times 2**SHIFT.
SHIFT = 16
_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])
LUMA = np.rint(_WEIGHTS * 219 / 255 * 2**SHIFT).astype(np.int32)
CHROMA = np.rint(
    np.stack([([0, 0, 1] - _WEIGHTS) / 1.8556, ([1, 0, 0] - _WEIGHTS) / 1.5748], axis=1) * 224 / 255 * 2**SHIFT
).astype(np.int32)

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class VideoFile:
    """A finished mp4. Sides in pixels, duration in seconds, size in bytes, sha256 in hexadecimal."""

    path: Path
    width: int
    height: int
    frames: int
    fps: float
    duration: float
    size: int
    sha256: str


def write_video(
    frames: Frames,
    path: Path | str,
    fps: SupportsFloat,
    *,
    upscale: int = 1,
    metadata: Mapping[str, Any] | None = None,
) -> VideoFile:
    """Write RGB frames (F, H, W, 3), uint8, as H.264, and return what was written.

    frames may carry a batch axis of one. fps is any real number up to 240, numpy's included. upscale enlarges by a
    whole factor with a Lanczos filter (nearest neighbour leaves stairs on round shapes). An odd last row or column is
    cut: the pixel format needs even sides. metadata must be JSON-like; its "prompt" becomes the title, all of it the
    comment.

    The file appears under its name only when it is complete and every frame of it has been decoded again. Otherwise
    raises EngineError and leaves nothing behind.
    """
    clip = _checked(frames, upscale)
    rate = _rate(fps)
    target = Path(path)
    with _written_whole(target, ".mp4") as temporary:
        pictures = [_enlarged(frame, upscale) for frame in clip]
        height, width = pictures[0].shape[:2]
        yuv = (av.VideoFrame.from_ndarray(_yuv420p(picture), format="yuv420p") for picture in pictures)
        _encode(yuv, temporary, (width, height), rate, _tags(metadata or {}), {"crf": "18"})
        _verify(temporary, len(pictures), width, height, rate)
        content = temporary.read_bytes()
    return _described(target, content, width, height, len(pictures), rate)


def shrink_video(source: Path | str, path: Path | str, size: int) -> VideoFile:
    """Encode an mp4 of ours once more in about `size` bytes, with the same frames, sides, rate and tags.

    Reads one frame at a time. Raises EngineError and leaves nothing behind when it cannot, as write_video does.
    """
    target = Path(path)
    with _written_whole(target, ".mp4") as temporary:
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            frames, width, height, rate = stream.frames, stream.width, stream.height, stream.average_rate
            if rate is None or not frames:
                raise ValueError(f"{source} does not say how many frames it has")
            seconds = frames / rate
            # A tenth for the container, and for what the encoder is off by.
            bits = max(1000, int(size * 8 * 9 / 10 / seconds))
            # How far it may run ahead of its rate: a fraction of a short clip.
            ahead = int(bits * min(Fraction(1), seconds / 8))
            limits = {"b": str(bits), "maxrate": str(bits), "bufsize": str(ahead)}
            tags = {name: text for name, text in container.metadata.items() if name in ("title", "comment")}
            _encode(_fresh(container.decode(stream)), temporary, (width, height), rate, tags, limits)
        _verify(temporary, frames, width, height, rate)
        content = temporary.read_bytes()
    return _described(target, content, width, height, frames, rate)


def write_poster(frame: npt.NDArray[np.uint8], path: Path | str, *, upscale: int = 1) -> Path:
    """Write one RGB frame (H, W, 3), uint8, as a JPEG of at most 320 pixels a side and 200 kB (Telegram's thumbnail).

    upscale as in write_video. Raises EngineError and leaves nothing behind when it cannot.
    """
    picture = Image.fromarray(_enlarged(_checked(frame[np.newaxis], upscale)[0], upscale))
    picture.thumbnail((POSTER_SIDE, POSTER_SIDE), Image.Resampling.LANCZOS)
    for quality in (88, 70, 50, 30):
        # To memory first: writing straight to a full disk, pillow leaves half a picture and raises nothing.
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=quality, optimize=True)
        if len(content.getvalue()) < POSTER_BYTES:
            break
    target = Path(path)
    with _written_whole(target, ".jpg") as temporary:
        temporary.write_bytes(content.getvalue())
    return target


def probe_encoder() -> None:
    """Encode and decode a tiny clip in a temporary folder; raises EngineError when this machine cannot.

    Meant for a worker's start: a missing encoder must not be found out after minutes of rendering.
    """
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    frames[1] = 255
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_video(frames, Path(folder) / "probe.mp4", 8)
    except OSError as error:
        raise EngineError(f"no temporary folder to probe the encoder in: {error}", public_reason=NOT_SAVED) from error


def _checked(frames: Frames, upscale: int) -> Frames:
    if frames.ndim == 5 and frames.shape[0] == 1:
        frames = frames[0]
    if frames.ndim == 4 and frames.shape[0] == 0:
        raise EngineError("there are no frames to write", public_reason=NOTHING_TO_SAVE)
    if frames.ndim != 4 or frames.shape[3] != 3 or min(frames.shape[1:3]) < 2:
        raise EngineError(f"frames must be (F, H, W, 3), not {frames.shape}", public_reason=NOTHING_TO_SAVE)
    if frames.dtype != np.uint8:
        # Casting here is how NaN becomes a black video.
        raise EngineError(f"frames must be uint8, not {frames.dtype}", public_reason=NOTHING_TO_SAVE)
    if type(upscale) is not int or not 1 <= upscale <= 16:
        raise EngineError(f"upscale must be a whole number from 1 to 16, not {upscale!r}", public_reason=NOT_SAVED)
    return frames


def _rate(fps: SupportsFloat) -> Fraction:
    """Return frames per second as the fraction the container wants: 7.5 -> 15/2, 29.97 -> 2997/100."""
    try:
        value = float(fps)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value <= MAX_FPS:
        raise EngineError(f"fps must be a number above 0 and up to {MAX_FPS}, not {fps!r}", public_reason=NOT_SAVED)
    return Fraction(value).limit_denominator(1001)


def _enlarged(frame: Frames, factor: int) -> Frames:
    if factor > 1:
        size = (frame.shape[1] * factor, frame.shape[0] * factor)
        frame = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
    return np.ascontiguousarray(frame[: frame.shape[0] & ~1, : frame.shape[1] & ~1])


def _described(path: Path, content: bytes, width: int, height: int, frames: int, rate: Fraction) -> VideoFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return VideoFile(path, width, height, frames, float(rate), float(frames / rate), len(content), sha256)


def _fresh(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Decoded frames, without the encoder's earlier choice of which of them stand alone."""
    for frame in frames:
        frame.pict_type = PictureType.NONE
        yield frame


def _encode(
    frames: Iterable[av.VideoFrame],
    path: Path,
    sides: tuple[int, int],
    rate: Fraction,
    tags: Mapping[str, str],
    quality: Mapping[str, str],
) -> None:
    # faststart moves the index before the pictures, so that playing can begin before the download ends.
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata.update(tags)
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = sides
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / rate
        # x264 picks other algorithms on other processors unless told not to; with one thread and our own colour
        # conversion the bytes depend on nothing but the frames.
        fixed = {"preset": "veryfast", "profile": "high", "x264-params": "cpu-independent=1"}
        stream.options = {**quality, **fixed}
        stream.codec_context.thread_count = 1
        stream.codec_context.color_range = ColorRange.MPEG
        stream.codec_context.colorspace = BT709
        stream.codec_context.color_primaries = BT709
        stream.codec_context.color_trc = BT709
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _yuv420p(picture: Frames) -> npt.NDArray[np.uint8]:
    """Return RGB (H, W, 3), even sides, as planar BT.709 in video range, (H * 3 / 2, W), chroma sited left as in H.264.

    Integers throughout: swscale rounds by the processor it finds.
    """
    rgb = picture.astype(np.int32)
    height, width = rgb.shape[:2]
    luma = (rgb @ LUMA + (16 << SHIFT) + (1 << SHIFT >> 1)) >> SHIFT
    rows = rgb[0::2] + rgb[1::2]
    before = np.concatenate([rows[:, :1], rows[:, 1:-1:2]], axis=1)
    # One quarter, one half, one quarter across, twice that for the two rows: eighths.
    blurred = before + 2 * rows[:, 0::2] + rows[:, 1::2]
    chroma = (blurred @ CHROMA + (128 << SHIFT + 3) + (1 << SHIFT + 3 >> 1)) >> SHIFT + 3
    planes = np.concatenate([luma.ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel()])
    return planes.clip(0, 255).astype(np.uint8).reshape(height * 3 // 2, width)


def _tags(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return mp4 tags that survive any prompt: JSON escapes NUL, line breaks, lone surrogates, whatever is foreign."""
    if not metadata:
        return {}
    tags = {"comment": json.dumps(dict(metadata), sort_keys=True)}
    printable = "".join(c if c.isprintable() else " " for c in str(metadata.get("prompt", "")))
    title = " ".join(printable.split())[:TITLE_LENGTH].strip()
    return {"title": title, **tags} if title else tags


def _verify(path: Path, frames: int, width: int, height: int, rate: Fraction) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = (stream.codec_context.name, stream.pix_fmt, stream.width, stream.height, stream.average_rate)
        expected = ("h264", "yuv420p", width, height, rate)
        decoded = sum(1 for _ in container.decode(stream))
        if found != expected or decoded != frames or len(container.streams) != 1:
            message = f"the encoder wrote {found} with {decoded} frames, not {expected} with {frames}"
            raise EngineError(message, public_reason=NOT_SAVED, retryable=True)


@contextmanager
def _written_whole(target: Path, suffix: str) -> Iterator[Path]:
    """Give a name beside target to write to; then flush it to the disk and rename it, or remove it and tell why."""
    temporary = target.parent / f".{uuid.uuid4().hex}{suffix}.part"
    try:
        try:
            yield temporary
            _flush(temporary)
            os.replace(temporary, target)
            _flush(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, av.error.FFmpegError, ValueError) as error:
        raise EngineError(f"{target} could not be written: {error}", public_reason=NOT_SAVED, retryable=True) from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
