"""Turns an upload, a file_id or an InputMedia object into message fields."""

from __future__ import annotations

from .. import probe
from ..errors import Json, bad_request
from ..files import TYPE_NAMES, StoredFile, Upload
from ..params import Params
from ..world import World

# Bigger thumbnails are ignored, 200 kB.
MAX_THUMBNAIL = 200 * 1024


def media_fields(world: World, kind: str, params: Params, source: Upload | str | None) -> Json:
    """The fields that carry a video, animation, document or photo."""
    if source is None:
        raise bad_request(f"there is no {kind} in the request")
    if isinstance(source, str):
        return again(world, kind, source)
    if not source.data:
        raise bad_request("file must be non-empty")
    if kind == "photo":
        return {"photo": world.files.keep_photo(source)}
    if kind in {"video", "animation"} and not probe.is_mp4(source.data):
        # Telegram takes anything, but shows as a film only what is one.
        kind = "document"
    if kind == "document":
        about = {"file_name": source.name, "mime_type": source.content_type} | _thumbnail(world, params, b"")
        return fields_of(world, world.files.keep("document", source, about))
    return _film(world, kind, params, source)


def _film(world: World, kind: str, params: Params, source: Upload) -> Json:
    looks = probe.probe_video(source.data)
    about: Json = {
        "width": params.integer("width") or looks.width,
        "height": params.integer("height") or looks.height,
        "duration": params.integer("duration") or looks.duration,
        "file_name": source.name,
        "mime_type": "video/mp4",
    } | _thumbnail(world, params, looks.thumbnail)
    cover = params.file("cover")
    if kind == "video" and isinstance(cover, Upload):
        about["cover"] = world.files.keep_photo(cover)
    if kind == "video" and params.integer("start_timestamp"):
        about["start_timestamp"] = params.integer("start_timestamp")
    upload = Upload(source.name, "video/mp4", source.data)
    return fields_of(world, world.files.keep(kind, upload, about))


def _thumbnail(world: World, params: Params, fallback: bytes) -> Json:
    given = params.file("thumbnail")
    data = given.data if isinstance(given, Upload) and len(given.data) <= MAX_THUMBNAIL else fallback
    return {"thumbnail": world.files.keep_thumbnail(data)} if data else {}


def again(world: World, kind: str, source: str) -> Json:
    """A file that Telegram has already, sent by its file_id."""
    if source.startswith(("http://", "https://")):
        # The stand-in never goes to the network.
        raise bad_request("failed to get HTTP URL content")
    file = world.files.by_id(source)
    if file is None:
        raise bad_request("wrong file identifier/HTTP URL specified")
    films = {"video", "animation"}
    if file.kind != kind and not {file.kind, kind} <= films:
        raise bad_request(f"can't use file of type {TYPE_NAMES.get(file.kind, file.kind)} as {TYPE_NAMES[kind]}")
    return fields_of(world, file)


def fields_of(world: World, file: StoredFile) -> Json:
    """How a stored file stands in a message: an animation is given twice, as itself and as a document."""
    if file.kind == "photo":
        return {"photo": world.files.photo_sizes(file)}
    if file.kind == "animation":
        document = {key: file.about[key] for key in file.about if key not in {"width", "height", "duration"}}
        return {"animation": file.about, "document": document}
    return {file.kind: file.about}


def input_media(world: World, params: Params) -> tuple[Json, Params]:
    """`media` of editMessageMedia: its fields, and its own parameters for the caption."""
    media = params.object("media")
    if not media.get("type"):
        raise bad_request("can't parse InputMedia: media type is required")
    kind = str(media["type"])
    if kind not in TYPE_NAMES:
        raise bad_request(f"type {kind} is not supported by the simulator")
    inner = Params(media, params.uploads)
    return media_fields(world, kind, inner, inner.file("media")), inner
