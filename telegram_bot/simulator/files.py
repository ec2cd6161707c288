"""Files the bot or a user sent: the same bytes always have the same file_id."""

from __future__ import annotations

import hashlib
import mimetypes
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from . import probe
from .errors import Json, bad_request
from .limits import MAX_DOWNLOAD, MAX_PHOTO

# What getFile calls the folder of each kind.
FOLDERS = {
    "video": "videos",
    "animation": "animations",
    "document": "documents",
    "photo": "photos",
    "thumbnail": "thumbnails",
    "sticker": "stickers",
    "voice": "voice",
}
# How each kind is called in "can't use file of type ..."
TYPE_NAMES = {"video": "Video", "animation": "Animation", "document": "Document", "photo": "Photo"}


@dataclass(frozen=True)
class Upload:
    """Bytes as they arrived."""

    name: str
    content_type: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Fingerprint for the record of calls, which keeps no bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass
class StoredFile:
    """A file with what Telegram says about it."""

    kind: str
    file_id: str
    file_unique_id: str
    path: str
    mime_type: str
    data: bytes
    about: Json

    def basic(self) -> Json:
        """The fields every kind has."""
        return {"file_id": self.file_id, "file_unique_id": self.file_unique_id, "file_size": len(self.data)}


class FileStore:
    """All files, in memory."""

    def __init__(self) -> None:
        self._by_id: dict[str, StoredFile] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def by_id(self, file_id: str) -> StoredFile | None:
        """The file a bot means, if it exists."""
        return self._by_id.get(file_id)

    def by_unique_id(self, unique_id: str) -> StoredFile | None:
        """The file the chat page means."""
        return next((file for file in self._by_id.values() if file.file_unique_id == unique_id), None)

    def by_path(self, path: str) -> StoredFile | None:
        """The file a download address means."""
        return next((file for file in self._by_id.values() if file.path == path), None)

    def describe(self, file_id: str) -> Json:
        """The answer of getFile."""
        file = self.by_id(file_id)
        if file is None:
            raise bad_request("invalid file_id")
        if len(file.data) > MAX_DOWNLOAD:
            raise bad_request("file is too big")
        return file.basic() | {"file_path": file.path}

    def keep(self, kind: str, upload: Upload, about: Json | None = None) -> StoredFile:
        """Store bytes under a kind; new facts about known bytes replace the old ones."""
        digest = hashlib.sha256(kind.encode() + b"\0" + upload.data).digest()
        file_id = f"SIM{kind[:3].upper()}{urlsafe_b64encode(digest).decode().rstrip('=')}"
        file = self._by_id.get(file_id)
        if file is None:
            suffix = mimetypes.guess_extension(upload.content_type) or ".bin"
            path = f"{FOLDERS.get(kind, 'documents')}/file_{len(self._by_id)}{suffix}"
            unique_id = f"Ag{urlsafe_b64encode(digest[:10]).decode().rstrip('=')}"
            file = StoredFile(kind, file_id, unique_id, path, upload.content_type, upload.data, {})
            self._by_id[file_id] = file
        file.about = file.basic() | (about or {})
        return file

    def keep_thumbnail(self, data: bytes) -> Json:
        """Store a small picture and give its PhotoSize."""
        looks = probe.probe_photo(data) or probe.Looks()
        file = self.keep(
            "thumbnail", Upload("thumb.jpg", "image/jpeg", data), {"width": looks.width, "height": looks.height}
        )
        return file.about

    def keep_photo(self, upload: Upload) -> list[Json]:
        """Store a picture in two sizes, the full one last."""
        if len(upload.data) > MAX_PHOTO:
            raise bad_request(
                f"file of size {len(upload.data)} bytes is too big for a photo; the maximum size is {MAX_PHOTO} bytes"
            )
        looks = probe.probe_photo(upload.data)
        if looks is None:
            raise bad_request("IMAGE_PROCESS_FAILED")
        full = self.keep("photo", upload, {"width": looks.width, "height": looks.height})
        sizes = [full.about]
        if max(looks.width, looks.height) > probe.THUMBNAIL_SIDE:
            sizes.insert(0, self.keep_thumbnail(looks.thumbnail))
        full.about = full.about | {"sizes": [size["file_id"] for size in sizes]}
        return sizes

    def photo_sizes(self, file: StoredFile) -> list[Json]:
        """The sizes of a picture that is sent again."""
        ids = file.about.get("sizes") or [file.file_id]
        sizes = [self._by_id[file_id].about for file_id in ids]
        return [{key: value for key, value in size.items() if key != "sizes"} for size in sizes]
