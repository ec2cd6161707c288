"""F8: the model's files are damaged. The worker says which and why, runs nothing in them, and takes no prompt."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from generations.engine.base import NOT_AVAILABLE
from generations.engine.card import DEMO_MODEL
from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle
from tests.faults.system import FULL_LENGTH

UNET, CLIP, AUTOENCODER = "text2video_pytorch_model.pth", "open_clip_pytorch_model.bin", "VQGAN_autoencoder.pth"
CONFIGURATION = "configuration.json"
PROMPT = "a red circle moving right"
REFUSED_TO_START = 78
# Of processor time, most of it for importing torch. On a machine with other work to do even that takes twice as long.
SECONDS_TO_REFUSE = 10 if FULL_LENGTH else 30


class Bomb:
    """Leaves a file behind wherever a pickle is trusted."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return builtins.exec, (f"open({str(self.mark)!r}, 'w').close()",)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        weights = archive.read(max(archive.infolist(), key=lambda record: record.file_size))
    content = bytearray(path.read_bytes())
    content[content.index(weights) + len(weights) // 2] ^= 1
    path.write_bytes(content)


def reshape(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    name = next(name for name, value in state.items() if value.ndim == 4)
    torch.save({**state, name: state[name][:, :1]}, path)


def plant_bomb(path: Path) -> None:
    document = torch.load(path, weights_only=True)
    state = document.get("state_dict", document)
    state[next(iter(state))] = Bomb(path.parent / "it-ran")
    torch.save(document, path)


def plant_old_bomb(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(path.parent / "it-ran")))


def loop(path: Path) -> None:
    """Root may read everything, but not this."""
    path.unlink()
    path.symlink_to(path.name)


Damage = tuple[str, Callable[[Path], object], str]
DAMAGES: dict[str, list[Damage]] = {
    "cut": [(UNET, cut, "truncated after")],
    "one bit": [(UNET, flip, "Bad CRC-32")],
    "web page": [(CLIP, lambda path: path.write_bytes(b"<!DOCTYPE html><p>Log in</p>"), "a web page, not weights")],
    "LFS pointer": [
        (UNET, lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer")
    ],
    "bomb": [(AUTOENCODER, plant_bomb, "is not a tensor of floating-point numbers")],
    "old bomb": [(AUTOENCODER, plant_old_bomb, "not a usable torch checkpoint")],
    "shapes": [(UNET, reshape, "of another shape than the configuration says")],
    "unreadable": [(CLIP, loop, "cannot be read")],
    "missing": [(CLIP, Path.unlink, "missing")],
}
# All in two starts; at full length one by one.
TOGETHER: dict[str, list[Damage]] = {
    "bit, bomb, page": [*DAMAGES["one bit"], *DAMAGES["bomb"], *DAMAGES["web page"]],
    "cut, old bomb, unreadable": [*DAMAGES["cut"], *DAMAGES["old bomb"], *DAMAGES["unreadable"]],
}
CASES = DAMAGES if FULL_LENGTH else TOGETHER


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The demo model, with as few steps as it allows."""
    folder = tmp_path / "model"
    shutil.copytree(DEMO_MODEL, folder)
    configuration = json.loads((folder / CONFIGURATION).read_text())
    extension = configuration["text_to_video_bot"]
    extension["defaults"]["steps"] = extension["limits"]["steps"][0]
    (folder / CONFIGURATION).write_text(json.dumps(configuration))
    return folder


def repair(folder: Path) -> None:
    for name in (UNET, CLIP, AUTOENCODER):
        (folder / name).unlink(missing_ok=True)
        shutil.copy(DEMO_MODEL / name, folder / name)


@pytest.mark.parametrize("damages", CASES.values(), ids=CASES)
def test_a_damaged_model_is_refused_and_the_prompt_waits_for_a_whole_one(
    telegram: Simulator, new_system: StartSystem, model: Path, damages: list[Damage]
) -> None:
    soon = {} if FULL_LENGTH else {"generations.attendance.UNTAKEN": 2}
    system = new_system(engine="real", environment={"MODEL": str(model)}, constants=soon)
    for file, spoil, _ in damages:
        spoil(model / file)
    system.start("queue", "bot")
    telegram.say(1, PROMPT)
    system.wait_for(lambda: telegram.bot_messages(1) and system.rings() == 1, "the prompt is accepted")
    assert telegram.bot_messages(1)[0].text.startswith("Queued")

    system.launch("worker")
    status, seconds = system.ended("worker")
    assert status == REFUSED_TO_START
    assert seconds < SECONDS_TO_REFUSE
    refusals = [line for line in system.log("worker").splitlines() if "refused to start" in line]
    for file, _, reason in damages:
        assert any(f"{model / file}: " in line and reason in line for line in refusals), refusals
    assert "Traceback" not in system.log("worker")
    assert not (model / "it-ran").exists(), "code from a weight file was run"
    assert system.rings() == 1
    assert [(row["status"], row["attempt"]) for row in system.rows()] == [("queued", 0)]
    system.wait_for(lambda: NOT_AVAILABLE in telegram.bot_messages(1)[0].text, "the person is told")

    repair(model)
    system.start("worker")
    account = settle(system)
    assert (account.accepted, account.videos) == (1, 1)
    assert [row["attempt"] for row in system.rows()] == [1]


def test_a_worker_is_not_harmed_when_its_files_are_cut_under_it(
    telegram: Simulator, new_system: StartSystem, model: Path
) -> None:
    system = new_system(engine="real", environment={"MODEL": str(model)})
    system.start("queue", "worker", "bot")
    telegram.say(1, PROMPT)
    system.wait_for(lambda: any(row["status"] == "running" for row in system.rows()), "it is rendered")
    for name in (UNET, CLIP, AUTOENCODER):
        os.truncate(model / name, 0)
    account = settle(system)
    assert (account.accepted, account.videos) == (1, 1)
    is_still_serving(system)
    assert system.is_alive("worker")
    assert all(row["worker_deaths"] == 0 for row in system.rows())


def test_people_are_told_when_the_bot_itself_cannot_read_what_the_model_is(
    telegram: Simulator, new_system: StartSystem, model: Path
) -> None:
    system = new_system(engine="real", environment={"MODEL": str(model)})
    system.start("queue", "bot")
    whole = (model / CONFIGURATION).read_bytes()
    (model / CONFIGURATION).write_bytes(whole[:100])
    telegram.say(1, PROMPT)
    telegram.say(2, "/start")
    system.wait_for(lambda: telegram.bot_messages(1) and telegram.bot_messages(2), "both are answered")
    assert telegram.bot_messages(1)[0].text == NOT_AVAILABLE
    assert system.rows() == []
    (model / CONFIGURATION).write_bytes(whole)
    telegram.say(1, PROMPT)
    system.wait_for(lambda: [row["status"] for row in system.rows()] == ["queued"], "the prompt is accepted")
