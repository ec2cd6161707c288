from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from generations.engine.base import EngineError
from generations.engine.modelscope.configuration import TextTowerConfig
from generations.engine.modelscope.pipeline import ModelScopeEngine
from generations.engine.modelscope.text_encoder import TextEncoder, TextTower
from tests.engine.checkpoint import CLIP_FILE, edit_state, open_clip_text_tower, randomise

PROMPTS = ["a red circle", "a blue square moving left over the sea", "", "панда 🐼 ёлка", "word " * 200]
SMALL = TextTowerConfig(width=32, heads=2, layers=3, project_tokens=True)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    tower = TextTower(SMALL)
    tower.load_state_dict(randomise(open_clip_text_tower(), 4).state_dict())
    return TextEncoder(tower.eval().requires_grad_(False))


def by_hand(state: dict[str, Tensor], tokens: list[int], config: TextTowerConfig) -> Tensor:
    """The tower written out for one prompt, head by head and token by token, in float64."""
    w = {name: value.double() for name, value in state.items()}
    heads, size = config.heads, config.width // config.heads

    def normalised(rows: Tensor, name: str) -> Tensor:
        mean, variance = rows.mean(1, keepdim=True), rows.var(1, keepdim=True, unbiased=False)
        return (rows - mean) / (variance + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["token_embedding.weight"][torch.tensor(tokens)] + w["positional_embedding"]
    for layer in range(config.layers - 1 if config.output_layer == "penultimate" else config.layers):
        name = f"transformer.resblocks.{layer}"
        rows = normalised(x, f"{name}.ln_1") @ w[f"{name}.attn.in_proj_weight"].T + w[f"{name}.attn.in_proj_bias"]
        query, key, value = rows.split(config.width, dim=1)
        mixed = torch.zeros_like(x)
        for head in range(heads):
            columns = slice(head * size, (head + 1) * size)
            for place in range(len(tokens)):
                scores = key[: place + 1, columns] @ query[place, columns] / math.sqrt(size)
                shares = scores.exp() / scores.exp().sum()
                mixed[place, columns] = shares @ value[: place + 1, columns]
        x = x + mixed @ w[f"{name}.attn.out_proj.weight"].T + w[f"{name}.attn.out_proj.bias"]
        hidden = normalised(x, f"{name}.ln_2") @ w[f"{name}.mlp.c_fc.weight"].T + w[f"{name}.mlp.c_fc.bias"]
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + hidden @ w[f"{name}.mlp.c_proj.weight"].T + w[f"{name}.mlp.c_proj.bias"]
    x = normalised(x, "ln_final")
    return x @ w["text_projection"] if config.project_tokens else x


@pytest.mark.parametrize(
    "config",
    [SMALL, replace(SMALL, project_tokens=False), replace(SMALL, output_layer="last")],
    ids=["demo", "modelscope", "last layer"],
)
def test_features_equal_a_tower_written_out_by_hand(config: TextTowerConfig) -> None:
    tower = TextTower(config)
    randomise(tower, 9)
    for prompt in PROMPTS[:2]:
        tokens = SimpleTokenizer(context_length=77)([prompt])
        found = tower(tokens)[0]
        assert found.shape == (77, config.output_width)
        torch.testing.assert_close(
            found.double(), by_hand(tower.state_dict(), tokens[0].tolist(), config), atol=1e-4, rtol=0
        )


def test_features_equal_open_clips_own_tower() -> None:
    stock = open_clip_text_tower()
    randomise(stock, 4)
    tower = TextTower(replace(SMALL, project_tokens=False)).eval()
    tower.load_state_dict(stock.state_dict())
    tokens = SimpleTokenizer(context_length=77)(PROMPTS)
    with torch.no_grad():
        expected = stock.forward_intermediates(
            tokens, indices=[1], normalize_intermediates=True, intermediates_only=True, output_fmt="NLC"
        )["text_intermediates"][0]
        torch.testing.assert_close(tower(tokens), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", [1, 2, 5, 77])
def test_a_prompt_means_the_same_whoever_is_in_its_batch(encoder: TextEncoder, batch: int) -> None:
    prompts = [f"{PROMPTS[index % len(PROMPTS)]} {index}" for index in range(batch)]
    together = encoder.encode(prompts)
    assert together.shape == (batch, 77, 1024)
    for index in (0, batch // 2, batch - 1):
        torch.testing.assert_close(together[index], encoder.encode([prompts[index]])[0], atol=2e-5, rtol=0)
    torch.testing.assert_close(encoder.encode(prompts[::-1]).flip(0), together, atol=2e-5, rtol=0)


def test_words_and_padding_reach_only_what_comes_after_them(encoder: TextEncoder) -> None:
    tokens = encoder.tokenizer(["a red circle"])
    changed = tokens.clone()
    changed[0, 40] = 320
    before, after = encoder.tower(tokens)[0], encoder.tower(changed)[0]
    torch.testing.assert_close(before[:40], after[:40], atol=1e-5, rtol=0)
    assert bool(((before[40:] - after[40:]).abs().amax(dim=1) > 1e-4).all())


def test_every_word_changes_the_features(encoder: TextEncoder) -> None:
    red, blue = encoder.encode(["a red circle", "a blue circle"])
    assert float((red[2:] - blue[2:]).abs().amax(dim=1).min()) > 1e-3


def test_a_sparse_embedding_table_reads_as_the_full_one(own_folder: Path, engine: ModelScopeEngine) -> None:
    weight = torch.load(own_folder / CLIP_FILE, weights_only=True)["token_embedding.weight"]
    used = SimpleTokenizer(context_length=77)(["a red circle"])[0].unique()
    table = torch.sparse_coo_tensor(used[None], weight[used].half(), weight.shape, check_invariants=True)
    edit_state(own_folder / CLIP_FILE, token_embedding__weight=table.coalesce())
    found = ModelScopeEngine(own_folder, "cpu").encode("", "a red circle")
    torch.testing.assert_close(found, engine.encode("", "a red circle"), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("prompt", "ignored"),
    [
        ("a red circle", ""),
        ("red " * 75, ""),
        ("red " * 75 + "Elephant & co ", "Elephant & co"),
        ("red\n" * 100 + "elephant", "red\n" * 25 + "elephant"),
        ("", ""),
        # The 75th token is a whole word; its first letters alone would be two tokens.
        ("red " * 74 + "elephant rides", "rides"),
    ],
)
def test_the_tail_that_does_not_fit_is_told_as_typed(encoder: TextEncoder, prompt: str, ignored: str) -> None:
    assert encoder.ignored_text(prompt) == ignored


def test_a_long_text_without_spaces_is_cut_inside(encoder: TextEncoder) -> None:
    prompt = "a film: " + "一只熊猫在吃竹子" * 30
    ignored = encoder.ignored_text(prompt)
    assert prompt.endswith(ignored)
    seen = prompt.removesuffix(ignored)
    assert 70 <= len(encoder.tokenizer.encode(seen)) <= 75
    assert len(encoder.tokenizer.encode(seen + ignored[0])) > 75


def test_what_is_beyond_the_context_really_has_no_effect(encoder: TextEncoder) -> None:
    prompt = "red " * 90 + "elephant"
    seen = prompt.removesuffix(encoder.ignored_text(prompt))
    assert torch.equal(encoder.encode([prompt]), encoder.encode([seen]))


@pytest.mark.parametrize("prompt", ["\ud800", "a\0b", "<end_of_text>", "&lt;b&gt;", "\u202e evil", " ", "🐼" * 500])
def test_odd_characters_are_encoded_without_an_error(encoder: TextEncoder, prompt: str) -> None:
    assert bool(torch.isfinite(encoder.encode([prompt])).all())
    encoder.ignored_text(prompt)


def test_the_self_test_passes_on_good_weights(engine: ModelScopeEngine) -> None:
    engine.self_test()


def test_the_self_test_notices_a_tower_run_along_the_wrong_axis(own_folder: Path) -> None:
    engine = ModelScopeEngine(own_folder, "cpu")
    for block in engine.text_encoder.tower.transformer.resblocks:
        # What open_clip's blocks did before 2.26, and what upstream's permute still assumes.
        block.attn.batch_first = False
    with pytest.raises((EngineError, RuntimeError), match=r"Self-test failed|attn_mask"):
        engine.self_test()


def test_the_self_test_notices_that_words_have_no_effect(own_folder: Path) -> None:
    edit_state(own_folder / CLIP_FILE, text_projection=torch.zeros(32, 1024))
    with pytest.raises(EngineError, match="two prompts have the same text features"):
        ModelScopeEngine(own_folder, "cpu").self_test()


def test_a_prompt_seen_before_is_not_encoded_again(engine: ModelScopeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def encode(self: TextEncoder, prompts: list[str]) -> Tensor:
        encoded.extend(prompts)
        return work(self, prompts)

    work = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", encode)
    engine.text_encoder.features.cache_clear()
    first, again = engine.encode("", "a red circle"), engine.encode("", "a red circle")
    other = engine.encode("", "a blue circle")
    assert encoded == ["", "a red circle", "a blue circle"]
    assert torch.equal(first, again)
    assert torch.equal(first[0], other[0])
    assert not torch.equal(first[1], other[1])
    assert torch.equal(first[1:], work(engine.text_encoder, ["a red circle"]))
