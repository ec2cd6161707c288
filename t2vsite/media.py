"""Signed, expiring links to videos and posters, served with byte ranges (Safari plays no video without them).

The address holds the signed storage name and nothing that a person chose, so there is nothing to guess and no path to
climb. Whoever has the link has the file until the link expires; pages that show links check permissions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from django.conf import settings
from django.core import signing
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

SALT = "t2vsite.media"
# The storage holds nothing else; a type that a browser would run is never sent.
CONTENT_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg"}
CHUNK = 64 * 1024

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class RangeNotSatisfiable(Exception):
    """The wanted bytes lie outside the file."""


def media_link(name: str) -> str:
    """The address of a stored file, good for MEDIA_LINK_SECONDS. An empty name gives an empty link."""
    return reverse("media", args=[signing.dumps(name, salt=SALT)]) if name else ""


@require_safe
def media(request: HttpRequest, token: str) -> HttpResponseBase:
    try:
        name = str(signing.loads(token, salt=SALT, max_age=settings.MEDIA_LINK_SECONDS))
    except signing.BadSignature:
        # Expired, forged or cut: the answer is the same for all, and says nothing about the file.
        return HttpResponse("This link is not valid, or no longer.", status=403, content_type="text/plain")
    content_type = CONTENT_TYPES.get(PurePosixPath(name).suffix.lower())
    if content_type is None:
        raise Http404
    try:
        file = default_storage.open(name)
    except (OSError, SuspiciousFileOperation) as error:
        raise Http404 from error
    # A name is never written twice, so name and size identify the content.
    etag = f'"{hashlib.sha256(f"{name}:{file.size}".encode()).hexdigest()[:32]}"'
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={settings.MEDIA_LINK_SECONDS}, immutable",
        "Content-Disposition": "inline",
        "ETag": etag,
        "X-Content-Type-Options": "nosniff",
    }
    try:
        # If-Range: a part is of use only when it is a part of what the browser already holds.
        wanted = request.headers.get("Range", "") if request.headers.get("If-Range", etag) == etag else ""
        part = byte_range(wanted, file.size)
    except RangeNotSatisfiable:
        file.close()
        return HttpResponse(status=416, headers=headers | {"Content-Range": f"bytes */{file.size}"})
    first, last = part or (0, file.size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    status = 206 if part else 200
    if request.method == "HEAD":
        file.close()
        return HttpResponse(status=status, content_type=content_type, headers=headers)
    return StreamingHttpResponse(Slice(file, first, last), status=status, content_type=content_type, headers=headers)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; None for the whole file.

    A header that is malformed or names several ranges is ignored, as RFC 9110 allows: the answer is the whole file.
    Raises RangeNotSatisfiable.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    start, end = match.groups()
    if not start:
        # The last so many bytes.
        length = min(int(end), size)
        if length == 0:
            raise RangeNotSatisfiable
        return size - length, size - 1
    first, last = int(start), min(int(end), size - 1) if end else size - 1
    if end and int(end) < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable
    return first, last


class Slice:
    """A part of a file in chunks. Not a generator: one that was never started would leave the file open."""

    def __init__(self, file: File[bytes], first: int, last: int) -> None:
        self.file = file
        self.left = last - first + 1
        file.seek(first)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = self.file.read(min(CHUNK, self.left)) if self.left else b""
        if not chunk:
            self.close()
            raise StopIteration
        self.left -= len(chunk)
        return chunk

    def close(self) -> None:
        self.file.close()
