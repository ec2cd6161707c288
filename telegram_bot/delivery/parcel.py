"""What a person gets: the video with its caption, or words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.files.storage import default_storage
from telegram.constants import FileSizeLimit, MessageLimit

from generations import services
from generations.models import MAX_WORKER_DEATHS, Generation, Status

from .. import texts
from ..buttons import Keyboard
from ..captions import shorten, utf16_length
from . import keyboards

# The tail that the model did not see may be as long as a message; the prompt is above it anyway.
IGNORED_UNITS = 300
# Of what not to show, which was typed with the prompt.
WITHOUT_UNITS = 200
# Of what the model read in place of the prompt.
TRANSLATION_UNITS = 300
MAX_UPLOAD = int(FileSizeLimit.FILESIZE_UPLOAD)


@dataclass(frozen=True)
class Video:
    """The arguments that sendVideo and InputMediaVideo share."""

    data: bytes
    poster: bytes | None
    width: int
    height: int
    duration: int


@dataclass(frozen=True)
class Parcel:
    text: str
    video: Video | None = None
    keyboard: Keyboard = ()
    # Why words take the place of a video that was made. For the operator.
    flaw: str = ""
    # A worker may still make it smaller; the words are for when it cannot.
    is_too_large: bool = False


def pack(row: Generation) -> Parcel:
    """What to hand over for a finished row. A storage that does not answer raises; a missing file does not."""
    match row.status:
        case Status.SUCCEEDED:
            return _pack_video(row)
        case Status.REJECTED:
            return Parcel(texts.rejected(row.public_error))
        case Status.CANCELLED:
            return Parcel(texts.cancelled())
    # What stopped the machine twice is not offered a third time.
    deadly = row.worker_deaths >= MAX_WORKER_DEATHS
    return Parcel(texts.failed(row.public_error), keyboard=() if deadly else keyboards.failure(row.pk))


def too_large() -> Parcel:
    return Parcel(texts.too_large(MAX_UPLOAD // 10**6), flaw="the file is too large", is_too_large=True)


def not_accepted(reason: str) -> Parcel:
    return Parcel(texts.not_accepted(), flaw=reason)


def _pack_video(row: Generation) -> Parcel:
    name = row.file.name
    if not name or not default_storage.exists(name):
        missing = "the file is missing in the storage"
        return Parcel(texts.file_missing(), keyboard=keyboards.failure(row.pk), flaw=missing)
    # Asked first: uploading 60 MB only to be refused takes minutes, and often ends in a broken connection.
    if default_storage.size(name) > MAX_UPLOAD:
        return too_large()
    video = Video(
        data=_read(name),
        poster=_poster(row),
        width=row.video_width or row.width,
        height=row.video_height or row.height,
        # Telegram takes whole seconds, and shows nothing for 0.
        duration=max(1, round(row.duration)),
    )
    return Parcel(caption(row), video, keyboards.result(row.pk, row.requester.user_id))


def caption(row: Generation) -> str:
    """The prompt as typed, as far as there is room, and the facts to make the same video again."""
    width, height = row.video_width or row.width, row.video_height or row.height
    licence = services.licence_to_tell(row)
    more = {"style": row.style, "model": "" if licence else row.model_name, **_unusual(row)}
    parts = [texts.facts(row.seed, width, height, row.preset, row.steps, row.render_seconds, **more)]
    if row.negative_prompt:
        parts.append(texts.without(shorten(row.negative_prompt, WITHOUT_UNITS)))
    missing = services.shortfall(row)
    if missing is not None:
        parts.append(texts.shortfall(missing.asked, missing.accepted, missing.refusal))
    if row.translated_prompt:
        parts.append(texts.translated(shorten(row.translated_prompt, TRANSLATION_UNITS)))
    if row.ignored_text:
        parts.append(texts.ignored(shorten(row.ignored_text, IGNORED_UNITS)))
    if licence:
        parts.append(texts.made_with(row.model_name, licence))
    below = "\n\n" + "\n".join(parts)
    return shorten(row.prompt.strip(), MessageLimit.CAPTION_LENGTH - utf16_length(below)) + below


def _unusual(row: Generation) -> dict[str, Any]:
    """What differs from the model's own defaults; all of it while the model cannot be read."""
    try:
        card = services.model_card()
        usual = {"frames": card.frames, "fps": card.fps, "guidance": card.guidance_scale}
    except services.REFUSALS:
        usual = {}
    own = {"frames": row.frames, "fps": row.fps, "guidance": row.guidance_scale}
    return {name: value for name, value in own.items() if usual.get(name) != value}


def _poster(row: Generation) -> bytes | None:
    """The frame shown until the video plays. A video without one is still a video."""
    name = row.poster.name
    return _read(name) if name and default_storage.exists(name) else None


def _read(name: str) -> bytes:
    with default_storage.open(name, "rb") as file:
        content: bytes = file.read()
    return content
