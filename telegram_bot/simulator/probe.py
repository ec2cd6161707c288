"""Looks into uploaded pictures and clips for what Telegram tells about them."""

from __future__ import annotations

import io
from dataclasses import dataclass

THUMBNAIL_SIDE = 320


@dataclass(frozen=True)
class Looks:
    """Size, length in seconds and a small JPEG, as far as they can be known."""

    width: int = 0
    height: int = 0
    duration: int = 0
    thumbnail: bytes = b""


def is_mp4(data: bytes) -> bool:
    """Whether a file starts as every mp4 does."""
    return data[4:8] == b"ftyp"


def probe_video(data: bytes) -> Looks:
    """First frame, size and rounded-up duration; all zero for bytes no decoder takes."""
    # Imported here: only media need it, and the stand-in starts without.
    import av
    from PIL import Image

    try:
        with av.open(io.BytesIO(data), "r") as clip:
            frame = next(clip.decode(video=0))
            seconds = (clip.duration or 0) / 1_000_000
            return Looks(
                frame.width,
                frame.height,
                max(1, round(seconds)),
                _thumbnail(Image.fromarray(frame.to_ndarray(format="rgb24"))),
            )
    except (av.error.FFmpegError, StopIteration, IndexError, ValueError):
        return Looks()


def probe_photo(data: bytes) -> Looks | None:
    """Size and a smaller copy; None for something that is not a picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            return Looks(picture.width, picture.height, 0, _thumbnail(picture))
    except (UnidentifiedImageError, OSError, ValueError):
        return None


def _thumbnail(picture: object) -> bytes:
    from PIL import Image

    if not isinstance(picture, Image.Image):
        raise ValueError("not a picture")
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()
