"""The training's own arrangement of ModelScope's networks gives ModelScope's numbers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from training.autoencoder import fold
from training.fast_unet import FastUNet, is_temporal, without_dropout
from training.text import END_OF_TEXT, TextTower, known_tokens, tokens, with_unknown_words
from training.upstream import LATENT_SCALE, build_autoencoder, build_unet


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    """Every weight random: as constructed, the output layers are zero and any bug would pass."""
    torch.manual_seed(0)
    network: nn.Module = without_dropout(build_unet()).eval()
    for value in network.parameters():
        if not value.any():
            nn.init.normal_(value, std=0.05)
    return network


def test_the_fast_forward_pass_equals_modelscopes(unet: nn.Module) -> None:
    x, t, text = torch.randn(2, 4, 5, 8, 8), torch.tensor([3, 981]), torch.randn(2, 77, 1024)
    with torch.no_grad():
        expected = unet(x, t, text)
        actual, _middle = FastUNet(unet)(x, t, text)
    assert torch.allclose(actual, expected, atol=2e-5)


def test_without_temporal_blocks_frames_do_not_see_each_other(unet: nn.Module) -> None:
    x, t, text = torch.randn(1, 4, 3, 8, 8), torch.tensor([500]), torch.randn(1, 77, 1024)
    other = x.clone()
    other[:, :, 2] = 0
    with torch.no_grad():
        first, _ = FastUNet(unet)(x, t, text, False)
        second, _ = FastUNet(unet)(other, t, text, False)
    assert torch.allclose(first[:, :, :2], second[:, :, :2], atol=1e-6)


def test_temporal_weights_are_told_apart_by_name(unet: nn.Module) -> None:
    temporal = {name for name, _ in unet.named_parameters() if is_temporal(name, unet)}
    assert any("temopral_conv" in name for name in temporal)
    assert "middle_block.2.proj_in.weight" in temporal
    assert "middle_block.1.proj_in.weight" not in temporal


def test_folding_changes_the_latents_scale_and_not_the_picture() -> None:
    torch.manual_seed(1)
    model = build_autoencoder().eval()
    frames = torch.rand(8, 3, 64, 64) * 2 - 1
    folded = copy.deepcopy(model)
    with torch.no_grad():
        expected = model.decode(model.encode(frames).mode())
        fold(folded, frames)
        latents = folded.encode(frames).mode()
        actual = folded.decode(latents)
    assert torch.allclose(actual, expected, atol=1e-3)
    flat = latents.permute(1, 0, 2, 3).flatten(1) * LATENT_SCALE
    assert flat.mean(dim=1).abs().max() < 1e-2
    assert flat.std(dim=1).max() <= 1.01


def test_unknown_words_are_read_as_nothing() -> None:
    ids = tokens(["a red circle moving left"])
    random = torch.Generator().manual_seed(0)
    changed = with_unknown_words(ids, random, share=1.0)
    kept = [token for token in changed[0].tolist() if token in set(known_tokens().tolist())]
    assert [token for token in kept if token] == [token for token in ids[0].tolist() if token]
    assert (changed == END_OF_TEXT).sum() == 1


def test_the_exported_table_has_rows_for_known_words_only() -> None:
    tower = TextTower()
    table = tower.full_state()["token_embedding.weight"]
    assert table.shape == (49408, 128)
    assert int(table.any(dim=1).sum()) == len(known_tokens())
