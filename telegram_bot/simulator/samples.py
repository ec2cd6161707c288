"""One example of everything people send that is not text."""

from __future__ import annotations

import io

from .errors import Json, bad_request
from .files import FileStore, Upload

SERVICE: dict[str, Json] = {
    "new_chat_members": {"new_chat_members": [{"id": 77, "is_bot": False, "first_name": "Newcomer"}]},
    "left_chat_member": {"left_chat_member": {"id": 77, "is_bot": False, "first_name": "Newcomer"}},
    "location": {"location": {"latitude": 52.52, "longitude": 13.405}},
    "contact": {"contact": {"phone_number": "+10000000000", "first_name": "Ada"}},
    "dice": {"dice": {"emoji": "🎲", "value": 4}},
    "poll": {
        "poll": {
            "id": "5000000001",
            "question": "Which film?",
            "options": [
                {"persistent_id": "a", "text": "This", "voter_count": 0},
                {"persistent_id": "b", "text": "That", "voter_count": 0},
            ],
            "total_voter_count": 0,
            "is_closed": False,
            "is_anonymous": True,
            "type": "regular",
            "allows_multiple_answers": False,
            "allows_revoting": False,
            "members_only": False,
        }
    },
}
NOT_MOVING = {"is_animated": False, "is_video": False}
KINDS = {"sticker", "photo", "video", "animation", "voice", "audio", "video_note", "document", *SERVICE}


def sample(files: FileStore, kind: str) -> Json:
    """The part of a message that carries `kind`."""
    if kind in SERVICE:
        return dict(SERVICE[kind])
    if kind == "photo":
        return {"photo": files.keep_photo(Upload("photo.png", "image/png", _picture()))}
    if kind not in KINDS:
        raise bad_request(f"people cannot send {kind!r}; choose from {', '.join(sorted(KINDS))}")
    mime = {"sticker": "image/webp", "document": "application/pdf", "voice": "audio/ogg", "audio": "audio/mpeg"}
    upload = Upload(f"sample.{kind}", mime.get(kind, "video/mp4"), b"a sample " + kind.encode())
    facts: dict[str, Json] = {
        "sticker": {"type": "regular", "emoji": "👍", "width": 512, "height": 512} | NOT_MOVING,
        "voice": {"duration": 3, "mime_type": "audio/ogg"},
        "audio": {"duration": 60, "mime_type": "audio/mpeg", "title": "Sample"},
        "video": {"width": 320, "height": 240, "duration": 3, "mime_type": "video/mp4"},
        "animation": {"width": 320, "height": 240, "duration": 3, "mime_type": "video/mp4"},
        "video_note": {"length": 240, "duration": 3},
        "document": {"file_name": "sample.pdf", "mime_type": "application/pdf"},
    }
    described = files.keep(kind, upload, facts[kind]).about
    return {kind: described, "document": described} if kind == "animation" else {kind: described}


def _picture() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(out, "PNG")
    return out.getvalue()
