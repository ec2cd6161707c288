"""A prepared copy: mapped, not read; equal to the folder it was made from; refused when it is not what was written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from generations.engine import load_engine, prepared
from generations.engine.base import CheckpointError
from generations.engine.modelscope.pipeline import ModelScopeEngine
from generations.engine.modelscope.prepare import prepare
from tests.engine.checkpoint import UNET_FILE, edit_state

MODEL = "painter/tiny-video"
UNET = "unet.safetensors"


def make(source: Path, models: Path, *, revision: str = "v1", precision: str = "float32") -> Path:
    records = {path.name: prepared.record_of(path) for path in source.iterdir()}
    home = models / MODEL / revision
    return prepare(
        source, home, model=MODEL, revision=revision, precision=precision, licence="for tests", records=records
    )


@pytest.fixture(scope="module")
def shared_copy(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(model_folder, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def copy(shared_copy: Path, tmp_path: Path) -> Path:
    """A copy of a test's own, with its files' times as they were."""
    return Path(shutil.copytree(shared_copy, tmp_path / "copy"))


def problems(folder: Path | str) -> list[str]:
    with pytest.raises(CheckpointError) as caught:
        load_engine(folder, "cpu")
    return caught.value.problems


def weights(engine: ModelScopeEngine) -> dict[str, torch.Tensor]:
    networks = {"text": engine.text_encoder.tower, "unet": engine.unet, "decoder": engine.autoencoder}
    return {f"{part}.{name}": value for part, net in networks.items() for name, value in net.state_dict().items()}


def same(first: ModelScopeEngine, second: ModelScopeEngine) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_every_weight_is_the_originals(shared_copy: Path, engine: ModelScopeEngine) -> None:
    assert same(ModelScopeEngine(shared_copy, "cpu"), engine)


def test_the_weights_are_pages_of_the_files_and_not_copies(shared_copy: Path) -> None:
    engine = ModelScopeEngine(shared_copy, "cpu")
    mapped = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(str(shared_copy / UNET)):
            mapped.append([int(end, 16) for end in line.split()[0].split("-")])
    addresses = [value.data_ptr() for name, value in weights(engine).items() if name.startswith("unet.")]
    assert addresses
    assert all(any(first <= address < last for first, last in mapped) for address in addresses)


def test_weights_start_on_a_cache_line(shared_copy: Path) -> None:
    values = weights(ModelScopeEngine(shared_copy, "cpu")).values()
    # What does not fill cache lines stands at the end of its file.
    assert {value.data_ptr() % 64 for value in values if value.nbytes % 64 == 0} == {0}


def test_only_what_a_worker_uses_is_kept(shared_copy: Path) -> None:
    names = {name.split(".")[0] for name in weights(ModelScopeEngine(shared_copy, "cpu")) if "quant" in name}
    assert names == {"decoder"}
    assert not [name for name in weights(ModelScopeEngine(shared_copy, "cpu")) if name.startswith("decoder.encoder")]


def test_nobody_can_write_into_a_file_by_accident(shared_copy: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in shared_copy.iterdir() if path.name != "prepared.json"}
    assert set(modes.values()) == {0o444}


def test_half_precision_is_what_the_original_would_have_been(model_folder: Path, tmp_path: Path) -> None:
    half = ModelScopeEngine(make(model_folder, tmp_path, precision="float16"), "cpu", dtype=torch.float16)
    assert same(half, ModelScopeEngine(model_folder, "cpu", dtype=torch.float16))


def test_a_float32_copy_serves_a_half_precision_worker_too(shared_copy: Path, model_folder: Path) -> None:
    half = ModelScopeEngine(shared_copy, "cpu", dtype=torch.float16)
    assert same(half, ModelScopeEngine(model_folder, "cpu", dtype=torch.float16))


def test_a_half_precision_copy_is_not_taken_for_the_model(model_folder: Path, tmp_path: Path) -> None:
    [problem] = problems(make(model_folder, tmp_path, precision="float16"))
    assert "prepared.json: prepared in float16, but cpu computes in float32" in problem
    assert problem.endswith(f"run manage.py fetchmodel {MODEL} --precision float32")


def truncated(folder: Path) -> str:
    os.truncate(folder / UNET, 1_000_000)
    return "truncated after 1000000 of "


def grown(folder: Path) -> str:
    with (folder / UNET).open("ab") as file:
        file.write(b"\0" * 64)
    return "were recorded when it was prepared"


def edited(folder: Path) -> str:
    with (folder / UNET).open("r+b") as file:
        # Between two of the blocks that the quick checksum reads.
        size = os.path.getsize(folder / UNET)
        file.seek(int(size / (prepared.SAMPLES - 1) * 10) + prepared.SAMPLE_BYTES + 4096)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    return "changed since it was prepared (its sha256 differs)"


def edited_with_its_time_kept(folder: Path) -> str:
    time = (folder / UNET).stat().st_mtime_ns
    with (folder / UNET).open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"\1" * 100)
    os.utime(folder / UNET, ns=(time, time))
    return "another file than the one that was prepared (its quick checksum differs)"


def gone(folder: Path) -> str:
    (folder / UNET).unlink()
    return "missing"


@pytest.mark.parametrize("damage", [truncated, grown, edited, edited_with_its_time_kept, gone])
def test_a_copy_that_is_not_what_was_written_is_refused(copy: Path, damage: Callable[[Path], str]) -> None:
    (copy / UNET).chmod(0o644)
    reason = damage(copy)
    [problem] = problems(copy)
    assert problem.startswith(f"{copy / UNET}: ")
    assert reason in problem
    assert problem.endswith(f"; run manage.py fetchmodel {MODEL} again")


def test_every_file_at_fault_is_named(copy: Path) -> None:
    (copy / UNET).unlink()
    (copy / "decoder.safetensors").unlink()
    assert len(problems(copy)) == 2


def test_a_file_of_another_revision_is_refused(copy: Path, own_folder: Path, tmp_path: Path) -> None:
    edit_state(own_folder / UNET_FILE, out__2__bias=torch.ones(4))
    other = make(own_folder, tmp_path / "other", revision="v2")
    (copy / UNET).unlink()
    shutil.copy2(other / UNET, copy / UNET)
    [problem] = problems(copy)
    assert "another file than the one that was prepared" in problem


def test_a_copy_moved_to_another_disk_is_served(copy: Path) -> None:
    for path in copy.iterdir():
        os.utime(path, (1, 1))
    load_engine(copy, "cpu").self_test()


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "broken"), ('{"format": 0}', "made by another version of this program"), ('{"format": 1}', "broken")],
)
def test_a_record_that_cannot_be_read_is_refused(copy: Path, content: str, reason: str) -> None:
    (copy / prepared.MANIFEST).write_text(content)
    [problem] = problems(copy)
    assert problem.startswith(f"{copy / prepared.MANIFEST}: {reason}")


def test_a_copy_replaced_or_removed_while_serving_does_no_harm(copy: Path) -> None:
    engine = load_engine(copy, "cpu")
    before = weights(ModelScopeEngine(copy, "cpu"))["unet.out.2.weight"].clone()
    (copy / "new").write_bytes(b"another model")
    (copy / "new").replace(copy / UNET)
    shutil.rmtree(copy)
    engine.self_test()
    assert isinstance(engine, ModelScopeEngine)
    assert torch.equal(weights(engine)["unet.out.2.weight"], before)


def test_weights_that_are_not_numbers_are_found_when_the_copy_is_made(own_folder: Path, tmp_path: Path) -> None:
    edit_state(own_folder / UNET_FILE, out__2__bias=torch.full((4,), 1e30))
    with pytest.raises(CheckpointError, match=r"1 tensor is not finite as float16: out\.2\.bias"):
        make(own_folder, tmp_path, precision="float16")
    assert list((tmp_path / MODEL / "v1").iterdir()) == []


def test_a_model_that_was_never_fetched_is_refused_with_the_command(tmp_path: Path) -> None:
    assert problems(MODEL) == [f"{MODEL} is not on this machine yet: run manage.py fetchmodel {MODEL}"]
    wanted = f"{MODEL}@v3"
    assert problems(wanted) == [f"{wanted} is not on this machine yet: run manage.py fetchmodel {MODEL} --revision v3"]


def test_the_copy_prepared_last_is_served_unless_a_revision_is_named(model_folder: Path, tmp_path: Path) -> None:
    second = make(model_folder, tmp_path, revision="v2")
    first = make(model_folder, tmp_path, revision="v1")
    assert prepared.locate(MODEL, tmp_path) == first
    assert prepared.locate(f"{MODEL}@v2", tmp_path) == second
    assert prepared.locate(f"{MODEL}@v3", tmp_path) == f"{MODEL}@v3"


def test_another_models_copy_under_this_name_is_not_served(model_folder: Path, tmp_path: Path) -> None:
    folder = make(model_folder, tmp_path)
    document = json.loads((folder / prepared.MANIFEST).read_text())
    document["model"] = "somebody/else"
    (folder / prepared.MANIFEST).write_text(json.dumps(document))
    assert prepared.locate(MODEL, tmp_path) == MODEL


def test_a_folder_stays_a_folder(tmp_path: Path) -> None:
    assert prepared.locate(tmp_path, tmp_path) == tmp_path
