"""File answers that obey Range: players ask for pieces."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from .files import StoredFile

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
# Shown inside a page; everything else is offered for saving, so that an uploaded page cannot run here.
SHOWN = ("image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "audio/mpeg", "audio/ogg")


def file_response(request: Request, file: StoredFile) -> Response:
    """The whole file, or the piece asked for (206), or 416."""
    size = len(file.data)
    shown = file.mime_type in SHOWN
    headers = {
        "accept-ranges": "bytes",
        "content-disposition": "inline" if shown else "attachment",
        "content-security-policy": "sandbox; default-src 'none'; media-src 'self'; img-src 'self'",
    }
    kind = file.mime_type if shown else "application/octet-stream"
    match = RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or match.group() == "bytes=-":
        return Response(file.data, media_type=kind, headers=headers)
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start >= size or end < start:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    headers["content-range"] = f"bytes {start}-{end}/{size}"
    return Response(file.data[start : end + 1], status_code=206, media_type=kind, headers=headers)
