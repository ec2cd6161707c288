"""What a worker says about a model folder that it cannot serve. It must say all of it at once, and never render."""

from __future__ import annotations

import builtins
import collections
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from generations.engine import load_engine
from generations.engine.base import CheckpointError, EngineError
from generations.engine.modelscope.pipeline import ModelScopeEngine
from generations.engine.modelscope.weights import read_state
from tests.engine.checkpoint import AUTOENCODER_FILE, CLIP_FILE, UNET_FILE, edit_state

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 5214864007\n" % (b"0" * 64)
PAGE = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"


def problems(folder: Path) -> list[str]:
    with pytest.raises(CheckpointError) as caught:
        load_engine(folder, "cpu")
    assert caught.value.public_reason == "The video model is not available right now."
    return caught.value.problems


def test_a_good_folder_loads(model_folder: Path) -> None:
    engine = load_engine(model_folder, "cpu")
    assert engine.card.frames == 4


@pytest.mark.parametrize("file", [CLIP_FILE, UNET_FILE, AUTOENCODER_FILE])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "missing"),
        (b"", "empty (0 bytes)"),
        (LFS_POINTER, "a Git LFS pointer"),
        (PAGE, "a web page"),
        (b'{"error": "rate limited"}', "not a usable torch checkpoint"),
        (b"\x80\x02}q\x00", "not a usable torch checkpoint"),
        (b"PK\x03\x04 and the rest never came", "truncated after"),
    ],
    ids=["missing", "empty", "LFS pointer", "HTML", "JSON", "half a pickle", "half a zip"],
)
def test_a_file_that_is_no_checkpoint_is_named_with_the_reason(
    own_folder: Path, file: str, content: bytes | None, reason: str
) -> None:
    (own_folder / file).unlink()
    if content is not None:
        (own_folder / file).write_bytes(content)
    [problem] = problems(own_folder)
    assert problem.startswith(f"{own_folder / file}: {reason}")
    assert "\n" not in problem


def test_a_download_that_stopped_early_is_named(own_folder: Path) -> None:
    path = own_folder / UNET_FILE
    os.truncate(path, path.stat().st_size // 2)
    [problem] = problems(own_folder)
    assert "truncated after" in problem
    assert "the download stopped early" in problem


@pytest.mark.parametrize("file", [CLIP_FILE, UNET_FILE, AUTOENCODER_FILE])
def test_one_flipped_bit_of_a_weight_is_noticed(own_folder: Path, file: str) -> None:
    path = own_folder / file
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
        weights = path.read_bytes().index(archive.read(largest))
    content = bytearray(path.read_bytes())
    content[weights + largest.file_size // 2] ^= 1
    path.write_bytes(content)
    assert problems(own_folder) == [f"{path}: not a usable torch checkpoint (Bad CRC-32 for file '{largest.filename}')"]


def test_a_file_whose_writer_left_the_checksums_out_loads(own_folder: Path) -> None:
    state = torch.load(own_folder / UNET_FILE, weights_only=True)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, own_folder / UNET_FILE)
    finally:
        torch.serialization.set_crc32_options(True)
    load_engine(own_folder, "cpu")


def test_a_folder_in_the_place_of_a_file_is_named(own_folder: Path) -> None:
    (own_folder / UNET_FILE).unlink()
    (own_folder / UNET_FILE).mkdir()
    assert problems(own_folder) == [f"{own_folder / UNET_FILE}: not a file"]


def test_every_fault_of_every_file_is_told_at_once(own_folder: Path) -> None:
    weight = torch.load(own_folder / UNET_FILE, weights_only=True)["out.2.weight"]
    edit_state(own_folder / UNET_FILE, out__2__weight=None, out__two__weight=weight, out__2__bias=torch.zeros(5))
    (own_folder / AUTOENCODER_FILE).write_bytes(LFS_POINTER)
    edit_state(own_folder / CLIP_FILE, ln_final__bias=torch.full((32,), float("nan")))
    found = problems(own_folder)
    for file, part in (
        (CLIP_FILE, "1 tensor is not finite as float32: ln_final.bias"),
        (UNET_FILE, "1 tensor is missing: out.2.weight"),
        (UNET_FILE, "1 tensor is unexpected: out.two.weight"),
        (UNET_FILE, "out.2.bias is (5,), expected (4,)"),
        (AUTOENCODER_FILE, "a Git LFS pointer"),
    ):
        assert any(problem.startswith(str(own_folder / file)) and part in problem for problem in found), part
    assert len(found) == 5


def test_many_missing_tensors_are_counted_and_three_are_named(own_folder: Path) -> None:
    torch.save({"something": torch.zeros(1)}, own_folder / CLIP_FILE)
    missing, unexpected = problems(own_folder)
    assert "41 tensors are missing: " in missing
    assert missing.endswith(" and 38 more")
    assert unexpected.endswith("1 tensor is unexpected: something")


def test_the_wrong_files_under_the_right_names_are_refused(own_folder: Path) -> None:
    (own_folder / UNET_FILE).write_bytes((own_folder / CLIP_FILE).read_bytes())
    assert all(UNET_FILE in problem for problem in problems(own_folder))


def test_a_prompt_never_loses_its_effect_to_a_renamed_tensor(own_folder: Path) -> None:
    weight = torch.load(own_folder / CLIP_FILE, weights_only=True)["ln_final.weight"]
    edit_state(own_folder / CLIP_FILE, ln_final__weight=None, ln_last__weight=weight)
    assert len(problems(own_folder)) == 2


def test_weights_that_overflow_in_half_precision_are_refused(own_folder: Path) -> None:
    edit_state(own_folder / UNET_FILE, out__2__bias=torch.full((4,), 1e30))
    load_engine(own_folder, "cpu")
    with pytest.raises(CheckpointError, match=r"not finite as float16: out\.2\.bias"):
        ModelScopeEngine(own_folder, "cpu", dtype=torch.float16)


def test_no_configuration_still_has_the_files_looked_at(own_folder: Path) -> None:
    (own_folder / "configuration.json").unlink()
    (own_folder / UNET_FILE).write_bytes(PAGE)
    first, second = problems(own_folder)
    assert first.endswith("configuration.json: missing")
    assert "a web page" in second


def test_a_configuration_that_cannot_be_read_does_not_hide_the_files_faults(own_folder: Path) -> None:
    (own_folder / "configuration.json").write_text("{")
    (own_folder / UNET_FILE).write_bytes(b"")
    first, second = problems(own_folder)
    assert "configuration.json: not a readable ModelScope configuration" in first
    assert second.endswith("empty (0 bytes)")


def test_a_model_that_was_never_fetched_is_told_as_such(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [
        f"{tmp_path / 'nowhere'}: no such folder; fetch the model first (manage.py fetchmodel)"
    ]


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("model.model_cfg.unet_dim", None, "model.model_cfg lacks unet_dim"),
        ("model.model_cfg.unet_dim", 33, "no network can be built from it"),
        ("model.model_cfg.unet_context_dim", 768, "both must be 1024"),
        ("model.model_cfg.unet_in_dim", 9, "unet_in_dim is 9; the latents have 4 channels"),
        ("model.model_cfg.mean_type", "x0", "mean_type 'x0' is not supported"),
        ("model.model_cfg.var_type", "learned_range", "var_type 'learned_range' is not supported"),
        ("model.model_args.ckpt_unet", None, "not a readable ModelScope configuration"),
        ("text_to_video_bot.text_tower.depth", 2, "text_tower has no setting called depth"),
        ("text_to_video_bot.text_tower.heads", 5, "32 is not a multiple of its 5 heads"),
        ("text_to_video_bot.text_tower.width", "wide", "text_tower.width must be a positive whole number"),
        ("text_to_video_bot.text_tower.project_tokens", False, "text features are 32 wide"),
        ("text_to_video_bot.text_tower.vocab_size", 100, "the tokenizer needs 49408"),
        ("text_to_video_bot.text_tower.output_layer", "first", 'must be "penultimate" or "last"'),
        ("text_to_video_bot.autoencoder.ch_mult", [1, 1], "ch_mult has 2 levels"),
        ("text_to_video_bot.defaults.width", 65, "width must be a multiple of 8"),
        ("text_to_video_bot.defaults.colour", "red", "not a readable ModelScope configuration"),
    ],
)
def test_a_wrong_setting_in_the_configuration_is_named(own_folder: Path, path: str, value: Any, reason: str) -> None:
    document = json.loads((own_folder / "configuration.json").read_text())
    *parents, last = path.split(".")
    place = document
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    (own_folder / "configuration.json").write_text(json.dumps(document))
    assert any("configuration.json" in problem and reason in problem for problem in problems(own_folder))


class Callback:
    """Stands for pytorch_lightning's ModelCheckpoint: a class the loading machine does not have."""


class Attributes(dict[str, Any]):
    """Stands for Lightning's AttributeDict."""


def test_a_lightning_file_with_foreign_classes_loads(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_folder / AUTOENCODER_FILE
    callback = Callback()
    callback.__dict__["best"] = 3
    document = {
        **torch.load(path, weights_only=True),
        "epoch": 4,
        "callbacks": {Callback: {"best_model_score": torch.tensor(1.0), "self": callback}},
        "hyper_parameters": Attributes(lr=1e-4, betas=(0.9, 0.99)),
        "loops": collections.defaultdict(int, a=1),
    }
    torch.save(document, path)
    # On the machine that loads it these names lead nowhere.
    monkeypatch.delattr(sys.modules[__name__], "Callback")
    monkeypatch.delattr(sys.modules[__name__], "Attributes")
    load_engine(own_folder, "cpu").self_test()


class Bomb:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("how", ["exec", "system", "popen", "import"])
def test_nothing_in_a_weight_file_is_ever_run(tmp_path: Path, how: str, zipped: bool) -> None:
    mark = tmp_path / "it-ran"
    bomb = {
        "exec": Bomb(builtins.exec, f"import pathlib; pathlib.Path({str(mark)!r}).touch()"),
        "system": Bomb(os.system, f"touch {mark}"),
        "popen": Bomb(subprocess.Popen, ["touch", str(mark)]),
        "import": Bomb(builtins.__import__, "antigravity"),
    }[how]
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {"a": torch.ones(2)}, "callbacks": bomb}, path, _use_new_zipfile_serialization=zipped)
    if zipped and how != "system":
        assert set(read_state(path)) == {"a"}
    else:
        # torch refuses modules such as os outright, and stand-ins are offered only to files of today's format.
        with pytest.raises(CheckpointError, match=r"weights.pth: not a usable torch checkpoint \(.*GLOBAL .*"):
            read_state(path)
    assert not mark.exists()
    assert "antigravity" not in sys.modules
    # The bomb is live: it goes off in the hands of a loader that trusts the file.
    if how == "exec":
        pickle.loads(pickle.dumps(bomb))
        assert mark.exists()


def test_a_bomb_in_the_place_of_a_tensor_is_a_named_problem(own_folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    state = torch.load(own_folder / UNET_FILE, weights_only=True)
    state["out.2.bias"] = Bomb(builtins.exec, f"import pathlib; pathlib.Path({str(mark)!r}).touch()")
    torch.save(state, own_folder / UNET_FILE)
    [problem] = problems(own_folder)
    assert "out.2.bias is not a tensor of floating-point numbers" in problem
    assert not mark.exists()


def test_a_file_replaced_while_serving_does_no_harm(own_folder: Path) -> None:
    engine = load_engine(own_folder, "cpu")
    for file in (CLIP_FILE, UNET_FILE, AUTOENCODER_FILE):
        os.truncate(own_folder / file, 0)
    engine.self_test()


def test_half_precision_files_of_data_parallel_training_load(own_folder: Path) -> None:
    for file in (CLIP_FILE, UNET_FILE):
        state = torch.load(own_folder / file, weights_only=True)
        torch.save({f"module.{name}": value.half() for name, value in state.items()}, own_folder / file)
    engine = ModelScopeEngine(own_folder, "cpu")
    assert {parameter.dtype for parameter in engine.unet.parameters()} == {torch.float32}


def test_a_missing_gpu_stops_the_start_with_one_line(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:0", "CUDA:3"):
        with pytest.raises(EngineError, match=f"DEVICE is {name}, but torch .* sees no CUDA GPUs here"):
            load_engine(model_folder, name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "mps", "cpu:1", "cuda:-1"])
def test_a_device_that_is_none_is_refused(model_folder: Path, name: str) -> None:
    with pytest.raises(EngineError, match="DEVICE must be auto, cpu, cuda or cuda:N, not"):
        load_engine(model_folder, name)
