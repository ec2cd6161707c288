"""Reads a released folder's networks back, to score them or to go on training from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from training.upstream import Network, build_autoencoder
from training.world import World

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Released:
    """State dicts in single precision, with the key names of the network classes."""

    unet: State
    autoencoder: State
    text: State


def load_folder(folder: Path) -> Released:
    """Return what export.export wrote."""

    def read(name: str) -> dict[str, torch.Tensor]:
        return torch.load(folder / name, weights_only=True)

    def full(state: State) -> State:
        return {name: (value.to_dense() if value.is_sparse else value).float() for name, value in state.items()}

    return Released(
        unet=full(read("text2video_pytorch_model.pth")),
        autoencoder=autoencoder_state(folder),
        text=full(read("open_clip_pytorch_model.bin")),
    )


def autoencoder_state(folder: Path) -> State:
    saved = torch.load(folder / "VQGAN_autoencoder.pth", weights_only=True)["state_dict"]
    return {name.removeprefix("first_stage_model."): value.float() for name, value in saved.items()}


def load_autoencoder(folder: Path) -> Network:
    """The model folder's autoencoder, with its encoder."""
    autoencoder = build_autoencoder()
    autoencoder.load_state_dict(autoencoder_state(folder))
    return autoencoder.eval()


def load_world(folder: Path) -> World:
    """What the model in a folder was taught, as its configuration.json says."""
    configuration = json.loads((folder / "configuration.json").read_text(encoding="utf-8"))
    return World(**{name: tuple(words) for name, words in configuration["text_to_video_bot"]["world"].items()})
