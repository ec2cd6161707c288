"""F3: the disk is full: the media's, or the one with the database and the queue on it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle


class SmallDisk:
    """A file system of a few megabytes, to be filled and emptied."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")

    def fill(self) -> None:
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def empty(self) -> None:
        (self.folder / "filler").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)


@pytest.fixture
def media_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "media", 1)
    yield disk
    disk.unmount()


@pytest.fixture
def whole_disk(installation_folder: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(installation_folder, 12)
    yield disk
    disk.unmount()


def test_a_full_media_disk_is_told_and_forgotten_when_there_is_room_again(
    telegram: Simulator, new_system: StartSystem, media_disk: SmallDisk
) -> None:
    system = new_system(environment={"MEDIA_ROOT": str(media_disk.folder)})
    system.start("queue", "worker", "bot")
    media_disk.fill()
    telegram.say(1, "a cat")
    system.wait_for(lambda: any(row["status"] == "failed" for row in system.rows()), "the video has failed")
    account = settle(system)
    assert (account.accepted, account.videos, account.failures) == (1, 0, 1)
    left = {path.suffix for path in media_disk.folder.rglob("*") if path.is_file()}
    assert left == {""}, "the filler, and no half video"
    media_disk.empty()
    is_still_serving(system)
    assert system.is_alive("worker")


def test_prompts_are_refused_with_the_reason_while_the_media_disk_is_full(
    telegram: Simulator, new_system: StartSystem, media_disk: SmallDisk
) -> None:
    system = new_system(
        environment={"MEDIA_ROOT": str(media_disk.folder)}, constants={"generations.limits.LEAST_FREE": 500_000}
    )
    system.start("queue", "worker", "bot")
    media_disk.fill()
    telegram.say(1, "a cat")
    system.wait_for(lambda: telegram.bot_messages(1), "an answer")
    assert "no room for new videos" in telegram.bot_messages(1)[0].text
    assert system.rows() == []
    media_disk.empty()
    is_still_serving(system)


def test_a_full_database_disk_loses_no_message(
    telegram: Simulator, new_system: StartSystem, whole_disk: SmallDisk
) -> None:
    system = new_system()
    if system.url:
        pytest.skip("PostgreSQL's disk is not ours to fill")
    system.start("queue", "worker", "bot")
    whole_disk.fill()
    for person in (1, 2, 3):
        telegram.say(person, f"cat {person}")
    telegram.wait_for(lambda: len(telegram.calls("getUpdates")) >= 3, 60)
    whole_disk.empty()

    def served() -> bool:
        system.tend()
        return len(system.rows()) == 3

    system.wait_for(served, "all are accepted")
    account = settle(system)
    assert account.accepted == account.outcomes == 3
    assert system.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    system.tend()
    is_still_serving(system)
