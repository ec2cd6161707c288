"""A model's files from ModelScope's hub, through ModelScope's own client (modelscope_hub). No torch, no Django.

The client resumes with HTTP ranges, tries again after a broken connection, writes under another name, and compares
sha256 and size with the hub's listing before it renames. MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN are its settings.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generations.engine.base import NOT_AVAILABLE, EngineError

CONFIGURATION = "configuration.json"
# The client resumes by itself a few times; after that, a download that still moves is resumed so often again.
RESUMES = 20


@dataclass(frozen=True)
class HubFile:
    """One file as the hub lists it. sha256 is "" where the hub tells none."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Listing:
    """A revision's files. commit: the newest commit that touched one of them, "" where the hub tells none."""

    model: str
    revision: str
    commit: str
    licence: str
    files: tuple[HubFile, ...]

    def named(self, names: Sequence[str]) -> list[HubFile]:
        """Return the files of these names; raises EngineError naming those that the hub has not."""
        by_name = {file.path: file for file in self.files}
        absent = [name for name in names if name not in by_name]
        if absent:
            raise _refusal(f"{self.model} at revision {self.revision} has no {', '.join(absent)}.")
        return [by_name[name] for name in names]


class Hub:
    """ModelScope's hub for one download. folder: where the client may keep its locks."""

    def __init__(self, folder: Path) -> None:
        """Raises EngineError when the client is not installed (the web image has none)."""
        try:
            from modelscope_hub import HubApi, HubConfig
        except ImportError as error:
            raise _refusal(
                "The package 'modelscope-hub' is not installed (pip install -r requirements.txt)."
            ) from error
        # Not the default configuration, which the client keeps from its first use on.
        self._api = HubApi(HubConfig())
        self._folder = folder

    def listing(self, model: str, revision: str) -> Listing:
        """Return what the hub has; raises EngineError when there is no such model or revision, or no answer."""
        from modelscope_hub.errors import HubError, NotExistError

        try:
            # The client's own list_repo_files drops the commits.
            entries = self._api.legacy.list_repo_files(model, "model", revision=revision)
        except NotExistError as error:
            raise _refusal(f"ModelScope's hub has no model {model} with a revision {revision}.") from error
        except (HubError, ValueError) as error:
            raise _no_answer(error) from error
        files = [entry for entry in entries if entry.get("Type", "blob") != "tree"]
        if not files:
            raise _refusal(f"ModelScope's hub lists no files of {model} at revision {revision}.")
        newest = max(files, key=lambda entry: entry.get("CommittedDate") or 0)
        return Listing(
            model,
            revision,
            str(newest.get("Revision") or ""),
            self._licence(model),
            tuple(HubFile(str(f["Path"]), int(f.get("Size") or 0), str(f.get("Sha256") or "").lower()) for f in files),
        )

    def _licence(self, model: str) -> str:
        from modelscope_hub.errors import HubError

        try:
            return str(self._api.get_repo(model, "model").license or "")
        except (HubError, ValueError):
            return ""

    def download(self, listing: Listing, file: HubFile, folder: Path, on_progress: Callable[[str, int], None]) -> Path:
        """Download one file into folder, or go on with one that was begun; a whole one is only compared.

        on_progress(name, bytes so far) is called often. Raises EngineError when the content is not what the listing
        says, the disk is full, or the hub stays silent; what came so far is kept for the next call.
        """
        from modelscope_hub._download import ProgressCallback
        from modelscope_hub.errors import FileIntegrityError, HubError, NetworkError

        class Progress(ProgressCallback):
            done = 0

            def update(self, size: int) -> None:
                self.done += size
                on_progress(file.path, self.done)

        begun = -1
        for _ in range(RESUMES):
            try:
                path = self._api.downloader.download_file(
                    listing.model,
                    "model",
                    file.path,
                    revision=listing.revision,
                    cache_dir=self._folder,
                    local_dir=folder,
                    expected_sha256=file.sha256 or None,
                    file_size=file.size,
                    progress_callbacks=[Progress],
                )
                on_progress(file.path, file.size)
                return Path(path)
            except FileIntegrityError as error:
                raise _refusal(
                    f"{file.path}: what arrived is not what the hub lists ({error.message}). Try again later; "
                    "a proxy on the way or a revision that moves while it is fetched does this."
                ) from error
            except NetworkError as error:
                arrived = _arrived(folder / file.path)
                if arrived <= begun:
                    raise _no_answer(error) from error
                begun = arrived
            except HubError as error:
                raise _no_answer(error) from error
            except OSError as error:
                reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or repr(error)
                raise _refusal(
                    f"{folder / file.path} cannot be written: {reason}. What came so far is kept; "
                    "the same command goes on from there."
                ) from error
        raise _no_answer(TimeoutError(f"the connection broke {RESUMES} times"))


def weight_files(configuration: Path) -> list[str]:
    """Return the names of the weight files that a configuration.json names; raises EngineError when it is none."""
    try:
        arguments: dict[str, Any] = json.loads(configuration.read_text(encoding="utf-8"))["model"]["model_args"]
        names = [str(arguments[f"ckpt_{part}"]) for part in ("clip", "unet", "autoencoder")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refusal(f"{configuration}: not the configuration of a text-to-video model ({error!r})") from error
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
        raise _refusal(f"{configuration}: names a file outside its folder")
    return names


def _arrived(target: Path) -> int:
    partial = target.with_suffix(target.suffix + ".incomplete")
    return partial.stat().st_size if partial.exists() else 0


def _refusal(message: str) -> EngineError:
    return EngineError(message, public_reason=NOT_AVAILABLE)


def _no_answer(error: Exception) -> EngineError:
    # The client's own words are Chinese in places and quote signed addresses in others.
    message = (
        f"ModelScope's hub does not answer as it should ({type(error).__name__}). What came so far is kept; "
        "the same command goes on from there."
    )
    return EngineError(message, public_reason=NOT_AVAILABLE, retryable=True)
