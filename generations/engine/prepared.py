"""A model's prepared copy on this machine: written once by fetchmodel, checked at every start. No torch, no Django.

models/<owner>/<name>/<revision>/<precision>-<content>/ holds configuration.json, three safetensors files and
prepared.json, which records where they came from and what they must be. Nothing in such a folder is ever rewritten in
place: another copy is another folder, renamed into place when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "prepared.json"
# A copy in another layout is refused and fetched again rather than guessed at.
FORMAT = 1
PRECISIONS = ("float16", "float32")

# The quick checksum reads so many blocks, evenly spaced, first and last included: 1 MiB of each file.
SAMPLES, SAMPLE_BYTES = 64, 16 * 1024
HASH_BLOCK = 4 * 2**20

_NAME = r"[A-Za-z0-9][\w.-]*"
HUB_ID = re.compile(rf"(?P<id>{_NAME}/{_NAME})(?:@(?P<revision>\w[\w./-]*))?")


@dataclass(frozen=True)
class FileRecord:
    """What a file must be. mtime_ns lets a start believe a file that nobody touched without reading all of it."""

    size: int
    sha256: str
    quick: str = ""
    mtime_ns: int = 0


@dataclass(frozen=True)
class Manifest:
    """prepared.json. source: the files it was made from; files: those of the copy. Names, then what they must be."""

    model: str
    revision: str
    precision: str
    licence: str
    prepared_at: str
    source: Mapping[str, FileRecord]
    files: Mapping[str, FileRecord]
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Return the folder's manifest; raises ValueError with a reason that names the file."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT:
            raise ValueError("made by another version of this program; run manage.py fetchmodel again")
        for part in ("source", "files"):
            document[part] = {name: FileRecord(**entry) for name, entry in document[part].items()}
        return Manifest(**document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if isinstance(error, ValueError) and "fetchmodel" in str(error) else f"broken ({error!r})"
        raise ValueError(f"{path}: {reason}") from error


def is_hub_id(model: str | Path) -> bool:
    """Tell a hub id ("iic/text-to-video-synthesis", with or without "@revision") from a folder, by its look alone."""
    return HUB_ID.fullmatch(str(model)) is not None


def locate(model: str | Path, models: Path) -> str | Path:
    """Return the folder of the prepared copy that a hub id means, or model itself: a folder, or an id never fetched.

    Of several copies the one prepared last counts; "id@revision" takes copies of that revision only. Reads manifests,
    never weights. A folder in the working directory that is called like an id wins, as it always did.
    """
    match = HUB_ID.fullmatch(str(model))
    if match is None or Path(model).is_dir():
        return model
    copies = [
        (manifest.prepared_at, folder)
        for folder, manifest in copies_of(match["id"], models)
        if match["revision"] in (None, manifest.revision, manifest.commit or None)
    ]
    return max(copies)[1] if copies else model


def copies_of(model_id: str, models: Path) -> list[tuple[Path, Manifest]]:
    """Return folder and manifest of every readable prepared copy of a model, whatever its revision."""
    found = []
    for path in sorted((models / model_id).glob(f"*/*/{MANIFEST}")):
        try:
            manifest = read_manifest(path.parent)
        except ValueError:
            continue
        # Hidden folders are unfinished; a copy that was moved here from elsewhere is not this model's.
        if not path.parent.name.startswith(".") and manifest.model == model_id:
            found.append((path.parent, manifest))
    return found


def how_to_fetch(model: str | Path) -> str:
    """Return the command line that puts a hub id's prepared copy where a worker finds it."""
    match = HUB_ID.fullmatch(str(model))
    if match is None:
        return "manage.py fetchmodel"
    return f"manage.py fetchmodel {match['id']}" + (f" --revision {match['revision']}" if match["revision"] else "")


def copy_problems(folder: Path, manifest: Manifest, *, whole: bool = False) -> list[str]:
    """Return what is wrong with the files of a copy, each fault with its file, or nothing.

    Size, quick checksum and modification time are looked at, and a file whose time differs is read and hashed in full:
    copied files are served, edited ones are not. whole=True hashes everything.
    """
    problems = []
    for name, record in manifest.files.items():
        path = folder / name
        try:
            problem = _problem(path, record, whole)
        except FileNotFoundError:
            problem = "missing"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        if problem:
            problems.append(f"{path}: {problem}; run {how_to_fetch(manifest.model)} again")
    return problems


def _problem(path: Path, record: FileRecord, whole: bool) -> str | None:
    found = path.stat()
    if found.st_size < record.size:
        return f"truncated after {found.st_size} of {record.size} bytes"
    if found.st_size > record.size:
        return f"{found.st_size} bytes, but {record.size} were recorded when it was prepared"
    if quick_checksum(path) != record.quick:
        return "another file than the one that was prepared (its quick checksum differs)"
    if (whole or found.st_mtime_ns != record.mtime_ns) and sha256(path) != record.sha256:
        return "changed since it was prepared (its sha256 differs)"
    return None


def record_of(path: Path, digest: str | None = None) -> FileRecord:
    """Return what this file is now. digest: its sha256 where the caller knows it already."""
    status = path.stat()
    return FileRecord(status.st_size, digest or sha256(path), quick_checksum(path), status.st_mtime_ns)


def quick_checksum(path: Path) -> str:
    """Return the sha256 of the file's size and of SAMPLES blocks of it, in hexadecimal; small files count whole."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(str(size).encode())
        step = max(size - SAMPLE_BYTES, 0) / (SAMPLES - 1)
        for offset in sorted({int(number * step) for number in range(SAMPLES)}):
            file.seek(offset)
            digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def sha256(path: Path, on_bytes: Callable[[int], Any] = lambda count: None) -> str:
    """Return the sha256 of a file in hexadecimal; on_bytes is called with the size of each block read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()
