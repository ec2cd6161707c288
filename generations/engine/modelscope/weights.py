"""Opens the weight files of a model folder: every fault at once, and no code from the files is ever run.

A folder in ModelScope's format is read, checked and copied into memory. A prepared copy (prepare.py) was checked when
it was written, holds only what a worker uses, in the dtype it computes in, and is mapped: ready without being read.
"""

from __future__ import annotations

import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from generations.engine import prepared
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
# Only decoding is ever asked for.
NOT_DECODER = ("encoder", "quant_conv")
# The files of a prepared copy.
CHANNELS_LAST = "channels last"
TEXT_TOWER_FILE, UNET_FILE, DECODER_FILE = "text_tower.safetensors", "unet.safetensors", "decoder.safetensors"


@dataclass(frozen=True)
class Networks:
    """The three networks of a folder, in eval mode, on one device, weights in one dtype."""

    text_tower: TextTower
    unet: nn.Module
    autoencoder: nn.Module
    configuration: Configuration


def load_networks(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Build the networks of a folder, ModelScope's own or a prepared copy, and fill them strictly.

    Raises CheckpointError listing every fault of every file.
    """
    if not folder.is_dir():
        command = prepared.how_to_fetch(folder)
        if prepared.is_hub_id(folder):
            raise CheckpointError([f"{folder} is not on this machine yet: run {command}"])
        raise CheckpointError([f"{folder}: no such folder; fetch the model first ({command})"])
    if (folder / prepared.MANIFEST).exists():
        return _load_prepared(folder, device, dtype)
    configuration = configuration_of(folder)
    problems: list[str] = []

    def load(source: Source) -> Any:
        try:
            network, state = source.open()
            fill(network, state, source.path, device, dtype)
        except CheckpointError as error:
            problems.extend(error.problems)
            return None
        return network

    text_tower, unet, autoencoder = map(load, sources_of(folder, configuration))
    if problems:
        raise CheckpointError(problems)
    # The file was checked whole, the memory need not be held.
    keep_decoder(autoencoder)
    return Networks(text_tower, unet, autoencoder, configuration)


def _load_prepared(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Map the files of a prepared copy. Nothing is read but what the checks sample and what rendering touches."""
    try:
        manifest = prepared.read_manifest(folder)
    except ValueError as error:
        raise CheckpointError([str(error)]) from error
    problems = prepared.copy_problems(folder, manifest)
    stored = getattr(torch, manifest.precision)
    if stored.itemsize < dtype.itemsize:
        # float16 weights in a float32 network would be another model than the one the card names, silently.
        wanted = str(dtype).removeprefix("torch.")
        command = f"{prepared.how_to_fetch(manifest.model)} --precision {wanted}"
        problems.append(
            f"{folder / prepared.MANIFEST}: prepared in {manifest.precision}, but {device} computes in {wanted}; "
            f"run {command}"
        )
    if problems:
        raise CheckpointError(problems)
    configuration = read_configuration(folder)

    def load(
        file: str, build: Callable[[], nn.Module], trim: Callable[[nn.Module], None] = lambda network: None
    ) -> Any:
        network = _build(build, folder)
        trim(network)
        try:
            state = read_prepared(folder / file)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError([f"{folder / file}: not a usable safetensors file ({error})"]) from error
        fill(network, state, folder / file, device, dtype, mapped=True)
        return network

    return Networks(
        load(TEXT_TOWER_FILE, lambda: TextTower(configuration.text)),
        load(UNET_FILE, lambda: build_unet(configuration.unet)),
        load(DECODER_FILE, lambda: build_autoencoder(configuration.autoencoder), keep_decoder),
        configuration,
    )


def read_prepared(path: Path) -> dict[str, Tensor]:
    """Return name -> tensor of a prepared copy's file: mapped, of the shapes that the networks have."""
    with safe_open(path, framework="pt") as file:
        if (file.metadata() or {}).get("layout") != CHANNELS_LAST:
            raise ValueError("of another layout")
        return {name: channels_first(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118  # no dictionary


def channels_last_in_memory(weight: Tensor) -> Tensor:
    return channels_first(channels_last(weight).contiguous())


def channels_last(weight: Tensor) -> Tensor:
    """Return a convolution's weight (O, I, kernel...) seen as (O, kernel..., I); other weights as they are."""
    return weight.movedim(1, -1) if weight.ndim > 3 else weight


def channels_first(weight: Tensor) -> Tensor:
    """Undo channels_last. In memory the channels stay last."""
    if weight.ndim <= 3:
        return weight
    if weight.shape[1:-1].numel() == 1:
        # Either order is the same in memory, but torch picks its kernel by the strides.
        return weight.reshape(weight.shape[0], weight.shape[-1], *weight.shape[1:-1])
    return weight.movedim(-1, 1)


def configuration_of(folder: Path) -> Configuration:
    """Return the configuration of a folder in ModelScope's format.

    Raises CheckpointError with its faults; what to build is unknown then, but the weight files can still be looked at
    under their usual names, and theirs are told too.
    """
    try:
        return read_configuration(folder)
    except CheckpointError as error:
        usual = Configuration()
        files = [folder / name for name in (usual.clip_file, usual.unet_file, usual.autoencoder_file)]
        raise CheckpointError([*error.problems, *filter(None, map(file_problem, files))]) from error


@dataclass(frozen=True)
class Source:
    """One network of a folder in ModelScope's format: its weight file, how to build it, which tensors are its own."""

    path: Path
    build: Callable[[], nn.Module]
    select: Callable[[Mapping[str, Any]], dict[str, Any]]

    def open(self) -> tuple[nn.Module, dict[str, Any]]:
        """Return the network on the meta device and its tensors, mapped where the file allows; or CheckpointError."""
        state = self.select(read_state(self.path))
        return _build(self.build, self.path.parent), state


def sources_of(folder: Path, configuration: Configuration) -> tuple[Source, Source, Source]:
    """Return text tower, UNet, autoencoder."""
    text, unet, autoencoder = configuration.text, configuration.unet, configuration.autoencoder
    return (
        Source(folder / configuration.clip_file, lambda: TextTower(text), _text_keys),
        Source(folder / configuration.unet_file, lambda: build_unet(unet), dict),
        Source(folder / configuration.autoencoder_file, lambda: build_autoencoder(autoencoder), _autoencoder_keys),
    )


def keep_decoder(autoencoder: nn.Module) -> None:
    """Take away what only encoding needs."""
    for name in NOT_DECODER:
        delattr(autoencoder, name)


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


def fill(
    network: nn.Module,
    state: Mapping[str, Any],
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    mapped: bool = False,
) -> None:
    """Put every tensor of state into network as dtype on device, strictly; eval mode, no gradients.

    Convolutions have their channels last in memory, from whichever file they come.

    mapped: the file is a prepared copy's. Tensors already in dtype were found finite when they were written, and on the
    CPU they stay what they are: pages of the file.

    Raises CheckpointError naming tensors that are missing, unexpected, of another shape, or hold NaN or infinity.
    """
    fitting, problems = match(network, state, path)
    not_finite, tensors = [], {}
    for name, value in fitting.items():
        # A foreign file is always copied: cut or overwritten in place, it would kill a worker that maps it (SIGBUS).
        ready = mapped and value.dtype == dtype
        tensors[name] = value.to(device) if ready else channels_last_in_memory(converted(value, device, dtype))
        if not ready and not torch.isfinite(tensors[name]).all():
            not_finite.append(name)
    if not_finite:
        problems.append(told(path, f"not finite as {str(dtype).removeprefix('torch.')}", not_finite))
    if problems:
        raise CheckpointError(problems)
    network.load_state_dict(tensors, strict=True, assign=True)
    network.requires_grad_(False).eval()


def match(network: nn.Module, state: Mapping[str, Any], path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of state that network has a place for, in network's order, and what does not fit in words."""
    expected = network.state_dict()
    wrong_shape, tensors = [], {}
    for name, parameter in expected.items():
        value = state.get(name)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            if name in state:
                wrong_shape.append(f"{name} is not a tensor of floating-point numbers")
        elif value.shape != parameter.shape:
            wrong_shape.append(f"{name} is {tuple(value.shape)}, expected {tuple(parameter.shape)}")
        else:
            tensors[name] = value
    kinds = (
        ("missing", [name for name in expected if name not in state]),
        ("unexpected", [name for name in state if name not in expected]),
        ("of another shape than the configuration says", wrong_shape),
    )
    return tensors, [told(path, kind, names) for kind, names in kinds if names]


def converted(value: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a dense copy of a weight, as dtype on device."""
    return (value.float().to_dense() if value.is_sparse else value).to(device=device, dtype=dtype, copy=True)


def told(path: Path, kind: str, names: Sequence[str]) -> str:
    """Return one problem in words: how many tensors of a file are of a kind, and the first of their names."""
    count = f"{len(names)} tensor is" if len(names) == 1 else f"{len(names)} tensors are"
    return f"{path}: {count} {kind}: {_some(names)}"


class _StandIn:
    """Takes the place of any class or function that a checkpoint names and torch does not know.

    Making one gives an empty dictionary whatever the arguments, and weights_only lets a checkpoint fill dictionaries
    and nothing else, so a pickled object of any kind is read as inert data.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]  # the point of it
        return OrderedDict()


class _NoInitialWeights(TorchFunctionMode):
    """Leaves new parameters as they are. Drawing them on the meta device would import torch's compiler, for seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def _build(build: Callable[[], nn.Module], folder: Path) -> nn.Module:
    try:
        # No memory and no time go into initial weights that are about to be replaced.
        with torch.device("meta"), _NoInitialWeights():
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
