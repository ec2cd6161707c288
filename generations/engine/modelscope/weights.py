"""Opens the weight files of a model folder: every fault at once, and no code from the files is ever run."""

from __future__ import annotations

import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generations.engine.base import CheckpointError
from generations.engine.modelscope.autoencoder import build_autoencoder
from generations.engine.modelscope.configuration import Configuration, read_configuration
from generations.engine.modelscope.device import is_out_of_memory
from generations.engine.modelscope.text_encoder import TextTower
from generations.engine.modelscope.unet import build_unet

# Names listed in one problem before "and N more".
NAMES_SHOWN = 3
# A CLIP checkpoint holds both towers; these are not the text tower's.
NOT_TEXT = ("visual.", "logit_scale", "logit_bias", "attn_mask")
AUTOENCODER_PREFIX = "first_stage_model"


@dataclass(frozen=True)
class Networks:
    """The three networks of a folder, in eval mode, on one device, weights in one dtype."""

    text_tower: TextTower
    unet: nn.Module
    autoencoder: nn.Module
    configuration: Configuration


def load_networks(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Build the networks of a ModelScope folder and fill them strictly.

    Raises CheckpointError listing every fault of every file.
    """
    if not folder.is_dir():
        raise CheckpointError([f"{folder}: no such folder; fetch the model first (manage.py fetchmodel)"])
    try:
        configuration = read_configuration(folder)
    except CheckpointError as error:
        # What to build is unknown, but the files can still be looked at under their usual names.
        usual = Configuration()
        files = [folder / name for name in (usual.clip_file, usual.unet_file, usual.autoencoder_file)]
        raise CheckpointError([*error.problems, *filter(None, map(file_problem, files))]) from error

    problems: list[str] = []

    def load(file: str, build: Callable[[], nn.Module], select: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Any:
        try:
            state = read_state(folder / file)
            network = _build(build, folder)
            fill(network, select(state), folder / file, device, dtype)
        except CheckpointError as error:
            problems.extend(error.problems)
            return None
        return network

    text_tower = load(configuration.clip_file, lambda: TextTower(configuration.text), _text_keys)
    unet = load(configuration.unet_file, lambda: build_unet(configuration.unet), dict)
    autoencoder = load(
        configuration.autoencoder_file, lambda: build_autoencoder(configuration.autoencoder), _autoencoder_keys
    )
    if problems:
        raise CheckpointError(problems)
    # Only decoding is ever asked for; the file was checked whole, the memory need not be held.
    del autoencoder.encoder, autoencoder.quant_conv
    return Networks(text_tower, unet, autoencoder, configuration)


def read_state(path: Path) -> dict[str, Any]:
    """Return name -> tensor of a torch checkpoint, tensors mapped from the file where its format allows.

    A Lightning file ({"state_dict": ..., "callbacks": ...}) gives its state_dict, and the "module." prefix of
    data-parallel training is dropped, as open_clip does. Raises CheckpointError with the file and the reason.
    """
    problem = file_problem(path)
    if problem:
        raise CheckpointError([problem])
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            check_records(path)
        unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else []
        # weights_only never imports what a file names; naming a stand-in for it keeps it from refusing the file.
        with torch.serialization.safe_globals([(_StandIn, name) for name in unknown]), warnings.catch_warnings():
            # Torch checks a sparse table for indices out of range, as it should, and warns that this takes a moment.
            warnings.filterwarnings("ignore", "Validating sparse tensor invariants", UserWarning)
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
        state = dict(loaded)
        if isinstance(state.get("state_dict"), dict):
            state = dict(state["state_dict"])
        state = {str(name): value for name, value in state.items()}
    except Exception as error:  # the many ways in which a foreign file can be broken all mean the same to the operator
        if is_out_of_memory(error):
            raise
        raise CheckpointError([f"{path}: not a usable torch checkpoint ({_first_line(error)})"]) from error
    if not state:
        raise CheckpointError([f"{path}: holds no tensors"])
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def check_records(path: Path) -> None:
    """Read a checkpoint in zip format once and hold every record against its checksum; raises BadZipFile.

    Torch itself does not look: with one bit flipped it would load, and draw something else. Some writers leave the
    checksums out (0), and their files are believed.
    """
    with zipfile.ZipFile(path) as archive:
        for record in archive.infolist():
            if record.CRC == 0:
                continue
            with archive.open(record) as content:
                while content.read(2**20):
                    pass


def file_problem(path: Path) -> str | None:
    """Return why a file cannot be a torch checkpoint, judged by its size and its first and last bytes, or None."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            return f"{path}: not a file"
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        return f"{path}: missing"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})"
    if size == 0:
        return f"{path}: empty (0 bytes)"
    if head.startswith(b"version https://git-lfs"):
        return f"{path}: a Git LFS pointer, not the weights it points to (run git lfs pull, or fetch the model again)"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"{path}: a web page, not weights (the download was answered by an error or a login page)"
    # The index of a zip file stands at its end.
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        return f"{path}: truncated after {size} bytes (the download stopped early)"
    return None


def fill(network: nn.Module, state: Mapping[str, Any], path: Path, device: torch.device, dtype: torch.dtype) -> None:
    """Put every tensor of state into network as dtype on device, strictly; eval mode, no gradients.

    Raises CheckpointError naming tensors that are missing, unexpected, of another shape, or hold NaN or infinity.
    """
    expected = network.state_dict()
    wrong_shape, not_finite, tensors = [], [], {}
    for name, parameter in expected.items():
        value = state.get(name)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            if name in state:
                wrong_shape.append(f"{name} is not a tensor of floating-point numbers")
            continue
        if value.shape != parameter.shape:
            wrong_shape.append(f"{name} is {tuple(value.shape)}, expected {tuple(parameter.shape)}")
            continue
        # Always a copy: a mapped file that is replaced under a running worker would kill it with SIGBUS.
        dense = (value.float().to_dense() if value.is_sparse else value).to(device=device, dtype=dtype, copy=True)
        tensors[name] = dense
        if not torch.isfinite(dense).all():
            not_finite.append(name)

    problems = []
    for kind, names in (
        ("missing", [name for name in expected if name not in state]),
        ("unexpected", [name for name in state if name not in expected]),
        ("of another shape than the configuration says", wrong_shape),
        (f"not finite as {str(dtype).removeprefix('torch.')}", not_finite),
    ):
        if names:
            count = f"{len(names)} tensor is" if len(names) == 1 else f"{len(names)} tensors are"
            problems.append(f"{path}: {count} {kind}: {_some(names)}")
    if problems:
        raise CheckpointError(problems)
    network.load_state_dict(tensors, strict=True, assign=True)
    network.requires_grad_(False).eval()


class _StandIn:
    """Takes the place of any class or function that a checkpoint names and torch does not know.

    Making one gives an empty dictionary whatever the arguments, and weights_only lets a checkpoint fill dictionaries
    and nothing else, so a pickled object of any kind is read as inert data.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]  # the point of it
        return OrderedDict()


def _build(build: Callable[[], nn.Module], folder: Path) -> nn.Module:
    try:
        # No memory and no time go into initial weights that are about to be replaced.
        with torch.device("meta"):
            return build()
    except (AssertionError, TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
        reason = f"no network can be built from it ({_first_line(error)})"
        raise CheckpointError([f"{folder / 'configuration.json'}: {reason}"]) from error


def _text_keys(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if not name.startswith(NOT_TEXT)}


def _autoencoder_keys(state: Mapping[str, Any]) -> dict[str, Any]:
    # As AutoencoderKL.init_from_ckpt: a whole latent-diffusion checkpoint may surround the autoencoder.
    return {
        name.split(f"{AUTOENCODER_PREFIX}.")[-1]: value for name, value in state.items() if AUTOENCODER_PREFIX in name
    }


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(str, names[:NAMES_SHOWN]))
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


def _first_line(error: Exception) -> str:
    # torch puts advice on how to switch its protection off around the one line that says what it met.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "GLOBAL" in line or line.startswith("Unsupported")]
    return (telling or lines or [type(error).__name__])[0][:300]
