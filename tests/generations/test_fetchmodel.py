"""manage.py fetchmodel: from the hub's bad days to a model that a worker serves. The hub is a real HTTP server here."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from generations.engine import load_engine, prepared
from generations.engine.base import render_one
from generations.engine.card import MODELSCOPE_LICENCE, read_card
from generations.management.commands import fetchmodel
from generations.served import served_model
from tests.engine.checkpoint import UNET_FILE, write_checkpoint
from tests.generations.hub import COMMIT, StandInHub, running

ROOT = Path(__file__).resolve().parents[2]
MODEL = "painter/tiny-video"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture
def models(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where prepared copies go; as with DATA_DIR=tmp_path. And nothing of this machine's own hub settings."""
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODEL = MODEL
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    return tmp_path / "models"


@pytest.fixture
def hub(folder: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    hub = StandInHub(folder, MODEL)
    with running(hub) as address:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", address)
        yield hub


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def fetch(*arguments: str, terminal: bool = False) -> str:
    """Run the command here and return all that it said."""
    said = Terminal() if terminal else io.StringIO()
    call_command("fetchmodel", *arguments, stdout=said, stderr=said)
    return said.getvalue()


def refusal(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        fetch(*arguments)
    return str(caught.value)


def copies(models: Path) -> list[Path]:
    return [path.parent for path in models.glob(f"*/*/*/*/{prepared.MANIFEST}")]


def frames(model: Path | str) -> Any:
    engine = load_engine(model, "cpu")
    spec = engine.card.spec("a red circle moving left", seed=7, steps=2)
    return render_one(engine, spec)


def test_a_fetched_model_is_served_and_draws_what_the_original_draws(hub: StandInHub, models: Path) -> None:
    said = fetch(MODEL)
    [copy] = copies(models)
    assert said.endswith(f"Ready in float32. Serve it with MODEL={MODEL}\n{copy}\n")
    assert f"Downloading {MODEL}, revision master, commit {COMMIT[:12]}: 4 files" in said
    assert served_model() == copy
    assert np.array_equal(frames(served_model()), frames(hub.folder))


def test_where_it_came_from_is_recorded(hub: StandInHub, models: Path) -> None:
    fetch(MODEL)
    manifest = prepared.read_manifest(copies(models)[0])
    assert (manifest.model, manifest.revision, manifest.commit) == (MODEL, "master", COMMIT)
    listed = {entry["Path"]: entry.get("Sha256") for entry in hub.listing() if entry["Type"] == "blob"}
    assert {name: record.sha256 for name, record in manifest.source.items()} == listed


def test_the_licence_is_shown_and_goes_onto_the_models_card(hub: StandInHub, models: Path) -> None:
    said = fetch(MODEL)
    assert f"Licence of {MODEL}: cc-by-nc-4.0. It is recorded with every video that the model makes." in said
    card = read_card(served_model())
    assert (card.name, card.licence) == (MODEL, "cc-by-nc-4.0")


@pytest.mark.parametrize("owner", ["iic", "damo"])
def test_modelscopes_own_model_has_its_known_licence_whatever_the_hub_says(
    hub: StandInHub, models: Path, owner: str, settings: Any
) -> None:
    hub.model, hub.licence = f"{owner}/text-to-video-synthesis", "Apache License 2.0"
    assert MODELSCOPE_LICENCE in fetch(hub.model)
    settings.MODEL = hub.model
    assert read_card(served_model()).licence == MODELSCOPE_LICENCE


def test_nothing_is_left_but_the_copy(hub: StandInHub, models: Path) -> None:
    fetch(MODEL)
    [copy] = copies(models)
    assert sorted(path.name for path in copy.parent.iterdir()) == [".lock", copy.name]


def test_a_second_call_finds_it_there_and_downloads_no_weights(hub: StandInHub, models: Path) -> None:
    fetch(MODEL)
    hub.asked.clear()
    assert "It is there already, and every file is what was prepared." in fetch(MODEL)
    assert [name for name, _ in hub.asked] == ["configuration.json"]


def test_a_broken_copy_is_made_anew(hub: StandInHub, models: Path) -> None:
    fetch(MODEL)
    [copy] = copies(models)
    (copy / "unet.safetensors").unlink()
    said = fetch(MODEL)
    assert "unet.safetensors: missing" in said
    assert "The copy is made anew." in said
    load_engine(served_model(), "cpu").self_test()


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: StandInHub, models: Path) -> None:
    hub.cuts[UNET_FILE] = 3_000_000
    fetch(MODEL)
    [first, second] = [start for name, start in hub.asked if name == UNET_FILE]
    assert first == 0
    assert 0 < second <= 3_000_000
    assert np.array_equal(frames(served_model()), frames(hub.folder))


def test_killed_in_the_middle_it_goes_on_where_it_was(hub: StandInHub, models: Path, tmp_path: Path) -> None:
    hub.stalls[UNET_FILE] = 4 * 2**20
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "manage.py"), "fetchmodel", MODEL]
    partial = models / MODEL / "master" / ".download" / f"{UNET_FILE}.incomplete"
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (partial.exists() and partial.stat().st_size >= 2**20):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert copies(models) == []
    kept = partial.stat().st_size
    hub.stalls.clear()
    hub.asked.clear()
    fetch(MODEL)
    assert [(name, start) for name, start in hub.asked if name == UNET_FILE] == [(UNET_FILE, kept)]
    assert np.array_equal(frames(served_model()), frames(hub.folder))


def test_content_that_is_not_what_the_hub_lists_is_refused(
    hub: StandInHub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_hub._download.DOWNLOAD_INTEGRITY_RETRY_BACKOFF", 0.01)
    hub.spoiled.add(UNET_FILE)
    said = refusal(MODEL)
    assert said.startswith(f"{UNET_FILE}: what arrived is not what the hub lists (Hash mismatch")
    assert copies(models) == []
    assert not list(models.rglob(f"{UNET_FILE}*"))


def test_a_revision_that_does_not_exist_is_named(hub: StandInHub, models: Path) -> None:
    assert refusal(MODEL, "--revision", "v9") == f"ModelScope's hub has no model {MODEL} with a revision v9."


def test_a_model_of_another_kind_is_refused_before_its_weights_are_fetched(hub: StandInHub, tmp_path: Path) -> None:
    hub.folder = tmp_path / "other"
    hub.folder.mkdir()
    (hub.folder / "configuration.json").write_text('{"framework": "pytorch"}')
    assert "not the configuration of a text-to-video model" in refusal(MODEL)


def test_a_file_that_the_hub_lacks_is_named(hub: StandInHub, tmp_path: Path) -> None:
    hub.folder = Path(shutil.copytree(hub.folder, tmp_path / "copy"))
    (hub.folder / UNET_FILE).unlink()
    assert refusal(MODEL) == f"{MODEL} at revision master has no {UNET_FILE}."


def test_a_hub_that_does_not_answer_is_told_in_words(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelscope_hub._legacy_api.REPO_TREE_PAGE_MAX_ATTEMPTS", 1)
    # Nothing listens on the discard port.
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    assert refusal(MODEL).startswith("ModelScope's hub does not answer as it should (NetworkError).")


def test_too_little_disk_is_found_out_before_anything_is_downloaded(
    hub: StandInHub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(models.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=20_000_000))
    said = refusal(MODEL)
    assert said.startswith("Not enough disk: ")
    assert "to download, the rest for the prepared copy), 20.0 MB are free in " in said
    assert [name for name, _ in hub.asked] == ["configuration.json"]


def test_a_disk_that_fills_up_leaves_no_half_copy(hub: StandInHub, models: Path, tmp_path: Path) -> None:
    # As on a full disk, a write fails half-way: no file may grow past 8 MB, and the UNet's copy has 10.
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, 8_000_000))\n"
        "sys.argv[0] = 'manage.py'\n"
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 't2vsite.settings'\n"
        "from django.core.management import execute_from_command_line as run; run(sys.argv)\n"
    )
    command = [sys.executable, "-c", program, "fetchmodel", MODEL, "--from", str(hub.folder)]
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "The prepared copy cannot be written below " in ended.stderr.splitlines()[-1]
    assert [path.name for path in (models / MODEL / "local").iterdir()] == [".lock"]


def test_a_folder_is_taken_as_well(folder: Path, models: Path) -> None:
    fetch(MODEL, "--from", str(folder))
    assert np.array_equal(frames(served_model()), frames(folder))
    assert prepared.read_manifest(copies(models)[0]).revision == "local"
    assert "It is there already" in fetch(MODEL, "--from", str(folder))


def test_a_folder_with_faults_gives_all_of_them_and_no_copy(folder: Path, models: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    for name in (UNET_FILE, "VQGAN_autoencoder.pth"):
        (own / name).write_bytes(b"<html>Please log in</html>")
    said = refusal(MODEL, "--from", str(own))
    assert said.count("a web page, not weights") == 2
    assert copies(models) == []


def test_a_folder_that_lacks_a_file_is_told_which(folder: Path, models: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    (own / UNET_FILE).unlink()
    assert refusal(MODEL, "--from", str(own)) == f"--from: {own} has no {UNET_FILE}."
    assert refusal(MODEL, "--from", str(own / "no")) == f"--from: there is no folder {own / 'no'}."


def test_a_new_copy_of_a_revision_takes_the_place_of_the_old_one(folder: Path, models: Path) -> None:
    fetch(MODEL, "--from", str(folder), "--precision", "float16")
    fetch(MODEL, "--from", str(folder), "--precision", "float32")
    [copy] = copies(models)
    assert prepared.read_manifest(copy).precision == "float32"


@pytest.mark.parametrize("model", ["text-to-video", "../secrets", "iic/text@v1", "a/b/c", "iic/.hidden"])
def test_an_id_that_is_none_is_refused(models: Path, model: str) -> None:
    assert refusal(model).startswith("ID must look like iic/text-to-video-synthesis, not ")
    assert not models.exists()


@pytest.mark.parametrize("revision", ["../up", "a b"])
def test_a_revision_that_is_none_is_refused(models: Path, revision: str) -> None:
    assert refusal(MODEL, "--revision", revision).startswith("--revision must be a tag, branch or commit, not ")
    assert not models.exists()


def test_two_at_once_do_not_write_the_same_files(folder: Path, models: Path) -> None:
    with fetchmodel.only_one(models / MODEL / "local"):
        assert refusal(MODEL, "--from", str(folder)).startswith("Another fetchmodel is at work in ")


def test_progress_is_a_line_that_moves_on_a_terminal(hub: StandInHub, models: Path) -> None:
    said = fetch(MODEL, terminal=True)
    assert said.count("\rdownloading: ") >= 5
    assert "\rdownloading: 100 %, " in said
    assert "\rwriting unet.safetensors: 100 %, " in said


def test_progress_is_a_few_plain_lines_in_a_log(hub: StandInHub, models: Path) -> None:
    said = fetch(MODEL)
    assert "\r" not in said
    lines = [line for line in said.splitlines() if line.startswith("downloading: ")]
    assert 2 <= len(lines) <= 11
    assert lines[-1].startswith("downloading: 100 %, ")
