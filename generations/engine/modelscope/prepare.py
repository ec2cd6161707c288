"""Turns a folder in ModelScope's format into a prepared copy: only what a worker uses, in the dtype it computes in.

The files are safetensors, written here and not by safetensors.torch.save_file, which would hold a whole network in
memory and start tensors at odd addresses: mapped weights are computed with where they lie, so each starts on a cache
line, convolutions have their channels last in memory, as the networks want them, and one tensor at a time is in memory.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generations.engine import prepared
from generations.engine.base import NOT_AVAILABLE, CheckpointError, EngineError
from generations.engine.modelscope.device import choose_device
from generations.engine.modelscope.weights import (
    CHANNELS_LAST,
    DECODER_FILE,
    NOT_DECODER,
    TEXT_TOWER_FILE,
    UNET_FILE,
    channels_last,
    configuration_of,
    converted,
    match,
    sources_of,
    told,
)
from generations.engine.prepared import FileRecord, Manifest

SAFETENSORS_NAMES = {torch.float16: "F16", torch.float32: "F32"}
PAGE, CACHE_LINE = 4096, 64
CPU = torch.device("cpu")

OnBytes = Callable[[str, int, int], Any]
"""Called with (file, bytes written, bytes in all)."""


def precision_for(device: str) -> str:
    """Return the dtype that a worker on this device computes in; raises EngineError as choose_device does."""
    return "float16" if choose_device(device).type == "cuda" else "float32"


def prepare(
    source: Path,
    home: Path,
    *,
    model: str,
    revision: str,
    precision: str,
    licence: str,
    records: Mapping[str, FileRecord],
    commit: str = "",
    on_progress: OnBytes = lambda file, done, total: None,
) -> Path:
    """Write the prepared copy of source below home (models/<id>/<revision>) and return its folder.

    records: size and sha256 of source's files, kept in the manifest. The folder appears under its name when all of it
    is on the disk; other copies below home are then removed, and workers that map them keep them until they end.
    Raises CheckpointError with every fault of source, or EngineError when there is not enough disk.
    """
    dtype = getattr(torch, precision)
    networks = _checked(source)
    needed = sum(_bytes(value, dtype) for _, state in networks.values() for value in state.values())
    require_space(home, needed, "for the prepared copy")

    part = home / f".{uuid.uuid4().hex}.part"
    part.mkdir(parents=True)
    try:
        digests, problems = {}, []
        for file, (path, state) in networks.items():
            not_finite: list[str] = []
            digests[file] = _write(
                part / file,
                state,
                dtype,
                not_finite,
                lambda done, total, file=file: on_progress(file, done, total),  # type: ignore[misc]
            )
            if not_finite:
                problems.append(told(path, f"not finite as {precision}", not_finite))
        if problems:
            raise CheckpointError(problems)
        document = _configuration(source, model, licence)
        (part / "configuration.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        for path in part.iterdir():
            path.chmod(0o444)
        manifest = Manifest(
            model=model,
            revision=revision,
            commit=commit,
            precision=precision,
            licence=document["text_to_video_bot"]["licence"],
            prepared_at=datetime.datetime.now(datetime.UTC).isoformat(),
            source=records,
            files={path.name: prepared.record_of(path, digests.get(path.name)) for path in sorted(part.iterdir())},
            versions={"torch": torch.__version__, "modelscope": version("modelscope")},
        )
        manifest.write(part)
        target = home / f"{precision}-{_content(records)}"
        _flush(part)
        # Only a copy that was found broken lies there.
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    except OSError as error:
        reason = error.strerror or repr(error)
        raise EngineError(
            f"The prepared copy cannot be written below {home}: {reason}.", public_reason=NOT_AVAILABLE
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _remove_others(home, target)
    return target


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise EngineError unless so many bytes are free where folder lies, or will lie."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        message = (
            f"Not enough disk: {gigabytes(needed)} are needed {purpose}, {gigabytes(free)} are free in {existing}. "
            "Make room, or set DATA_DIR to a larger disk."
        )
        raise EngineError(message, public_reason=NOT_AVAILABLE)


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _checked(source: Path) -> dict[str, tuple[Path, dict[str, Tensor]]]:
    """Return, per file of the copy, the file it comes from and its tensors, mapped from there."""
    problems, found = [], {}
    configuration = configuration_of(source)
    for file, part in zip((TEXT_TOWER_FILE, UNET_FILE, DECODER_FILE), sources_of(source, configuration), strict=True):
        try:
            network, state = part.open()
            tensors, faults = match(network, state, part.path)
            problems += faults
            found[file] = (part.path, tensors)
        except CheckpointError as error:
            problems += error.problems
    if problems:
        raise CheckpointError(problems)
    path, autoencoder = found[DECODER_FILE]
    unused = tuple(f"{name}." for name in NOT_DECODER)
    found[DECODER_FILE] = (path, {name: value for name, value in autoencoder.items() if not name.startswith(unused)})
    return found


def _write(
    path: Path,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
    not_finite: list[str],
    on_bytes: Callable[[int, int], Any],
) -> str:
    """Write a safetensors file and return its sha256; names of tensors with NaN or infinity go into not_finite."""
    # The format allows no gaps, so what does not fill cache lines comes last.
    names = sorted(tensors, key=lambda name: _bytes(tensors[name], dtype) % CACHE_LINE != 0)
    header: dict[str, Any] = {"__metadata__": {"format": "pt", "layout": CHANNELS_LAST}}
    total = 0
    for name in names:
        end = total + _bytes(tensors[name], dtype)
        shape = list(channels_last(tensors[name]).shape)
        header[name] = {"dtype": SAFETENSORS_NAMES[dtype], "shape": shape, "data_offsets": [total, end]}
        total = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % PAGE)
    digest, done = hashlib.sha256(), 0
    with path.open("wb") as file:
        for block in _blocks(struct.pack("<Q", len(text)) + text, names, tensors, dtype, not_finite):
            file.write(block)
            digest.update(block)
            done += len(block)
            on_bytes(min(done, total), total)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _blocks(
    head: bytes, names: Iterable[str], tensors: Mapping[str, Tensor], dtype: torch.dtype, not_finite: list[str]
) -> Iterable[Any]:
    yield head
    for name in names:
        value = channels_last(converted(tensors[name], CPU, dtype)).contiguous()
        if not torch.isfinite(value).all():
            not_finite.append(name)
        yield value.reshape(-1).view(torch.uint8).numpy().data


def _bytes(value: Tensor, dtype: torch.dtype) -> int:
    return value.numel() * dtype.itemsize


def _configuration(source: Path, model: str, licence: str) -> dict[str, Any]:
    """The folder's own configuration, with the model's name and licence for its card where it does not say them."""
    document: dict[str, Any] = json.loads((source / "configuration.json").read_text(encoding="utf-8"))
    document["text_to_video_bot"] = {"name": model, "licence": licence, **document.get("text_to_video_bot", {})}
    return document


def _content(records: Mapping[str, FileRecord]) -> str:
    """A name for exactly this content."""
    lines = sorted(f"{name} {record.sha256}" for name, record in records.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_others(home: Path, kept: Path) -> None:
    """One copy per revision. Files that a worker has mapped stay on the disk until it ends."""
    for path in home.iterdir():
        if path != kept and path.is_dir() and (path / prepared.MANIFEST).exists():
            shutil.rmtree(path, ignore_errors=True)
