"""Put a model where workers start from in seconds: download it, or take a folder, and write a prepared copy."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from generations.engine import prepared
from generations.engine.base import CheckpointError, EngineError
from generations.engine.card import MODELSCOPE_LICENCE
from generations.engine.hub import CONFIGURATION, Hub, HubFile, Listing, weight_files
from generations.engine.prepared import FileRecord

DEFAULT_MODEL = "iic/text-to-video-synthesis"
# The hub's own name for its newest state.
DEFAULT_REVISION = "master"
# The hub tells what the model's page says, which is not always what its card says; for these the stricter is known.
KNOWN_LICENCES = {f"{owner}/text-to-video-synthesis": MODELSCOPE_LICENCE for owner in ("iic", "damo")}
NOT_STATED = "not stated by its authors; ask them before you use it"
DOWNLOAD = ".download"


class Command(BaseCommand):
    help = (
        "Download a model from ModelScope's hub (or take a folder) and write a prepared copy of it below DATA_DIR, "
        "from which a worker is ready in seconds. Stopped or killed, the same command goes on where it was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", nargs="?", default=DEFAULT_MODEL, metavar="ID", help=f"default: {DEFAULT_MODEL}")
        parser.add_argument("--revision", help=f"a tag, branch or commit of the hub; default: {DEFAULT_REVISION}")
        parser.add_argument(
            "--from", dest="folder", type=Path, metavar="PATH", help="a folder in ModelScope's format, not the hub"
        )
        parser.add_argument(
            "--precision", choices=prepared.PRECISIONS, help="default: what workers on DEVICE compute in"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        model, revision = options["model"], options["revision"]
        if not prepared.is_hub_id(model) or "@" in model:
            raise CommandError(f"ID must look like {DEFAULT_MODEL}, not {model!r}.")
        revision = revision or ("local" if options["folder"] else DEFAULT_REVISION)
        if not prepared.is_hub_id(f"{model}@{revision}"):
            raise CommandError(f"--revision must be a tag, branch or commit, not {revision!r}.")
        try:
            # Torch takes seconds; a mistyped id should not wait for it.
            from generations.engine.modelscope.prepare import precision_for

            precision = options["precision"] or precision_for(settings.DEVICE)
            home = settings.MODELS_DIR / model / re.sub(r"[^\w.-]", "-", revision)
            with only_one(home):
                if options["folder"]:
                    self.from_folder(options["folder"], home, model, revision, precision)
                else:
                    self.from_hub(home, model, revision, precision)
        except CheckpointError as error:
            raise CommandError("\n".join(["The model's files cannot be used:", *error.problems])) from error
        except EngineError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped; the same command goes on from here.", returncode=130) from None

    def from_hub(self, home: Path, model: str, revision: str, precision: str) -> None:
        from generations.engine.modelscope.prepare import gigabytes, require_space

        hub = Hub(settings.MODELS_DIR)
        listing = hub.listing(model, revision)
        folder = home / DOWNLOAD
        [configuration] = listing.named([CONFIGURATION])
        names = weight_files(hub.download(listing, configuration, folder, lambda name, done: None))
        files = [configuration, *listing.named(names)]
        licence = KNOWN_LICENCES.get(model) or listing.licence or NOT_STATED
        self.show_licence(model, licence)
        if self.is_there(home, model, precision, {file.path: file.sha256 for file in files}):
            shutil.rmtree(folder, ignore_errors=True)
            return
        total = sum(file.size for file in files)
        missing = total - sum(arrived(folder, file) for file in files)
        # Half of the bytes at most are kept where they are halved; what the copy leaves out makes it smaller still.
        copy = total // 2 if precision == "float16" else total
        purpose = f"({gigabytes(missing)} to download, the rest for the prepared copy)"
        require_space(home, missing + copy, purpose)
        pinned = f"revision {revision}" + (f", commit {listing.commit[:12]}" if listing.commit else "")
        self.tell(f"Downloading {model}, {pinned}: {len(files)} files, {gigabytes(total)}")
        show = Progress(self, "downloading", total)
        for file in files:
            hub.download(listing, file, folder, show.file)
        show.end()
        records = {file.path: self.record(folder, file) for file in files}
        self.prepare(folder, home, listing, precision, licence, records)
        shutil.rmtree(folder, ignore_errors=True)

    def from_folder(self, folder: Path, home: Path, model: str, revision: str, precision: str) -> None:
        if not folder.is_dir():
            raise CommandError(f"--from: there is no folder {folder}.")
        names = [CONFIGURATION, *weight_files(folder / CONFIGURATION)]
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            raise CommandError(f"--from: {folder} has no {', '.join(absent)}.")
        files = [HubFile(name, (folder / name).stat().st_size, "") for name in names]
        show = Progress(self, "reading", sum(file.size for file in files))
        records = {file.path: self.record(folder, file, show) for file in files}
        show.end()
        licence = stated_licence(folder) or MODELSCOPE_LICENCE
        self.show_licence(model, licence)
        if not self.is_there(home, model, precision, {name: record.sha256 for name, record in records.items()}):
            listing = Listing(model, revision, "", licence, tuple(files))
            self.prepare(folder, home, listing, precision, licence, records)

    def prepare(
        self,
        source: Path,
        home: Path,
        listing: Listing,
        precision: str,
        licence: str,
        records: dict[str, FileRecord],
    ) -> None:
        from generations.engine.modelscope.prepare import prepare

        shows: dict[str, Progress] = {}

        def progress(file: str, done: int, total: int) -> None:
            if file not in shows:
                shows[file] = Progress(self, f"writing {file}", total)
            shows[file].file(file, done)
            if done == total:
                shows[file].end()

        copy = prepare(
            source,
            home,
            model=listing.model,
            revision=listing.revision,
            commit=listing.commit,
            precision=precision,
            licence=licence,
            records=records,
            on_progress=progress,
        )
        self.tell(f"Ready in {precision}. Serve it with MODEL={listing.model}")
        self.stdout.write(str(copy))

    def is_there(self, home: Path, model: str, precision: str, digests: dict[str, str]) -> bool:
        """Is a whole copy of exactly these files there? Reads all of it, so a doubtful copy is settled by this."""
        for folder, manifest in prepared.copies_of(model, settings.MODELS_DIR):
            # Of small files some hubs tell no sha256.
            found = {name: record.sha256 for name, record in manifest.source.items()}
            same = found.keys() == digests.keys() and all(digests[name] in ("", found[name]) for name in found)
            if folder.parent == home and manifest.precision == precision and same:
                problems = prepared.copy_problems(folder, manifest, whole=True)
                if not problems:
                    self.tell(f"It is there already, and every file is what was prepared. MODEL={model}")
                    self.stdout.write(str(folder))
                    return True
                self.tell("\n".join([*problems, "The copy is made anew."]))
        return False

    def record(self, folder: Path, file: HubFile, show: Progress | None = None) -> FileRecord:
        """What a source file was. The hub's client has compared it with the listing's sha256 where there is one."""
        path = folder / file.path
        done = [0]

        def on_bytes(count: int) -> None:
            done[0] += count
            if show:
                show.file(file.path, done[0])

        return FileRecord(path.stat().st_size, file.sha256 or prepared.sha256(path, on_bytes))

    def show_licence(self, model: str, licence: str) -> None:
        self.tell(f"Licence of {model}: {licence}. It is recorded with every video that the model makes.")

    def tell(self, text: str, ending: str = "\n") -> None:
        # Django's own style for this stream is the red of errors.
        self.stderr.write(text, str, ending)
        self.stderr.flush()


class Progress:
    """One line that moves on a terminal, ten lines in a log, over all files together."""

    def __init__(self, command: Command, what: str, total: int) -> None:
        self.command = command
        self.what = what
        self.total = max(total, 1)
        self._files: dict[str, int] = {}
        self._shown = -1
        self._started = time.monotonic()
        self._begun: int | None = None

    def file(self, name: str, done: int) -> None:
        """So many bytes of this file are done; the client may also start one anew."""
        self._files[name] = done
        total = sum(self._files.values())
        if self._begun is None:
            self._begun = total
        percent = min(100, total * 100 // self.total)
        moves = self.command.stderr.isatty()
        if percent == self._shown or (not moves and percent // 10 == self._shown // 10):
            return
        self._shown = percent
        speed = (total - self._begun) / max(time.monotonic() - self._started, 0.001) / 1e6
        line = f"{self.what}: {percent:3d} %, {speed:.1f} MB/s"
        # The end of the line is cleared: the next figure may be shorter.
        self.command.tell(f"\r{line}\033[K" if moves else line, ending="" if moves else "\n")

    def end(self) -> None:
        if self.command.stderr.isatty() and self._shown >= 0:
            self.command.tell("")


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Two of these on one revision would write the same files. What a killed one left unfinished is removed."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / ".lock").open("w")
    except OSError as error:
        raise CommandError(f"{home} cannot be written to: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandError(f"Another fetchmodel is at work in {home}.") from None
        for unfinished in home.glob(".*.part"):
            shutil.rmtree(unfinished, ignore_errors=True)
        yield


def arrived(folder: Path, file: HubFile) -> int:
    """Bytes of a file that are there from an earlier call."""
    for path in (folder / file.path, folder / f"{file.path}.incomplete"):
        if path.is_file():
            return min(path.stat().st_size, file.size)
    return 0


def stated_licence(folder: Path) -> str:
    """What the folder's own configuration says of its licence, if it does."""
    document = json.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))
    return str(document.get("text_to_video_bot", {}).get("licence", ""))
