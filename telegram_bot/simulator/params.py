"""One view on a method's parameters, however they travelled: query, form, multipart or JSON."""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from .errors import Json, bad_request
from .files import Upload
from .limits import FRAMING, MAX_UPLOAD, too_large

# PTB sends lists and objects as JSON inside form fields, which may be long for a big keyboard.
MAX_FIELD = 4 * 1024 * 1024


class Params:
    """Named values and uploads; an absent or empty value reads as None."""

    def __init__(self, values: Json, uploads: dict[str, Upload] | None = None) -> None:
        self.values = {key: value for key, value in values.items() if value is not None and value != ""}
        self.uploads = uploads or {}

    def record(self) -> Json:
        """What the record of calls keeps: values as read, and of uploads all but the bytes."""
        return {key: self.json(key) if key != "text" else value for key, value in self.values.items()} | {
            key: {
                "file_name": upload.name,
                "content_type": upload.content_type,
                "size": len(upload.data),
                "sha256": upload.sha256,
            }
            for key, upload in self.uploads.items()
        }

    def text(self, name: str) -> str:
        """A string, "" when absent."""
        value = self.values.get(name)
        return "" if value is None else str(value)

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number; anything else counts as absent, as Telegram does it."""
        try:
            return int(self.values.get(name, default))
        except (TypeError, ValueError, OverflowError):
            return default

    def flag(self, name: str) -> bool:
        """True for true, 1 and yes."""
        return str(self.values.get(name, "")).lower() in {"true", "1", "yes"}

    def json(self, name: str) -> Any:
        """A list or object, whether it came as JSON text or as itself."""
        value = self.values.get(name)
        if not isinstance(value, str) or value[:1] not in {"{", "["}:
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value

    def object(self, name: str) -> Json:
        """A JSON object, {} when absent; anything else is refused."""
        value = self.json(name)
        if value is not None and not isinstance(value, dict):
            raise bad_request(f"can't parse {name.replace('_', ' ')} JSON object")
        return value or {}

    def array(self, name: str) -> list[Any] | None:
        """A JSON list; anything else is refused."""
        value = self.json(name)
        if value is not None and not isinstance(value, list):
            raise bad_request(f"can't parse {name.replace('_', ' ')} JSON array")
        return value

    def objects(self, name: str) -> list[Json]:
        """A list of JSON objects, [] when absent."""
        values = self.array(name) or []
        if not all(isinstance(value, dict) for value in values):
            raise bad_request(f"can't parse {name.replace('_', ' ')}: expected an Object")
        return values

    def file(self, name: str) -> Upload | str | None:
        """An upload, or the file_id or address given instead."""
        return self.uploads.get(name) or self.attached(self.values.get(name))

    def attached(self, value: Any) -> Upload | str | None:
        """What `attach://name` points to."""
        if isinstance(value, str) and value.startswith("attach://"):
            upload = self.uploads.get(value.removeprefix("attach://"))
            if upload is None:
                raise bad_request("attached file not found")
            return upload
        return value if isinstance(value, str) else None


async def read_params(request: Request) -> Params:
    """Take everything a request carries; a body over 50 MB is read to its end and refused."""
    values: Json = dict(request.query_params)
    if request.method != "POST":
        return Params(values)
    if int(request.headers.get("content-length") or 0) > MAX_UPLOAD + FRAMING:
        # Read on, or the client's own writing fails before it sees the answer.
        async for _ in request.stream():
            pass
        raise too_large()
    if request.headers.get("content-type", "").startswith("application/json"):
        return Params(values | _json_body(await request.body()))
    uploads: dict[str, Upload] = {}
    async with request.form(max_part_size=MAX_FIELD) as form:
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                kind = value.content_type or "application/octet-stream"
                uploads[key] = Upload(value.filename or "file", kind, await value.read())
            else:
                values[key] = value
    if any(len(upload.data) > MAX_UPLOAD for upload in uploads.values()):
        raise too_large()
    return Params(values, uploads)


def _json_body(body: bytes) -> Json:
    try:
        parsed = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise bad_request("can't parse JSON object") from None
    if not isinstance(parsed, dict):
        raise bad_request("can't parse JSON object")
    return parsed
