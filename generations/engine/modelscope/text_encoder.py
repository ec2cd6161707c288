"""Words to features: the text tower of open_clip's CLIP alone, run the way ModelScope runs it.

Upstream is FrozenOpenCLIPEmbedder in text_to_video_synthesis_model.py. It builds the 632 M-parameter visual tower to
throw it away, and feeds sequence-first tensors to blocks that have been batch-first since open_clip 2.26.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from generations.engine.modelscope.configuration import TextTowerConfig
from generations.engine.modelscope.upstream import module_alone

# A word longer than this is cut inside when reporting what was ignored: scripts without spaces are one long "word".
LONG_WORD = 24
# Prompts whose features are remembered: people repeat prompts, and nearly all negative prompts are the empty one.
# 0.3 MB each in float32.
REMEMBERED = 128


class LayerNorm(nn.LayerNorm):
    """Gives back the dtype it was given, as open_clip's; under autocast torch's own gives float32."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).to(x.dtype)


class Block(nn.Module):
    """open_clip's ResidualAttentionBlock as the text tower uses it: attention, then a layer four times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = LayerNorm(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": nn.GELU(), "c_proj": nn.Linear(4 * width, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, tokens, width) of the same; mask (tokens, tokens) is added to the attention's scores."""
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask.to(normed.dtype))[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads) for _ in range(layers))


class TextTower(nn.Module):
    """Parameters are named as in an open_clip CLIP checkpoint, so its text keys load strictly."""

    def __init__(self, config: TextTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.transformer = Transformer(config.width, config.layers, config.heads)
        self.ln_final = LayerNorm(config.width)
        self.text_projection = nn.Parameter(torch.empty(config.width, config.projection_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return features (B, tokens, output_width) of tokens (B, tokens), int64. Batch first.

        Fewer tokens than context_length give the first features of all of them: no token sees those after it.
        """
        length = tokens.shape[1]
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        # Each token sees itself and those before it, padding included, as upstream.
        mask = torch.full((length, length), float("-inf"), device=x.device, dtype=x.dtype).triu(1)
        blocks = list(self.transformer.resblocks)
        for block in blocks[:-1] if self.config.output_layer == "penultimate" else blocks:
            x = block(x, mask)
        x = self.ln_final(x)
        return x @ self.text_projection if self.config.project_tokens else x


class TextEncoder:
    """Tokenizer and tower together."""

    def __init__(self, tower: TextTower) -> None:
        self.tower = tower
        # The file alone: importing open_clip imports torchvision, timm and torch's compiler, ten seconds of a start.
        self.tokenizer = module_alone("open_clip", "tokenizer.py").SimpleTokenizer(
            context_length=tower.config.context_length
        )
        # The start and the end token take two places.
        self.capacity = tower.config.context_length - 2
        self.features = functools.lru_cache(REMEMBERED)(self._features)

    def encode(self, prompts: Sequence[str], length: int | None = None) -> Tensor:
        """Return features (prompts, length, output_width) in the tower's dtype, on its device; length: all."""
        tokens = self.tokenizer(list(prompts))[:, :length]
        features: Tensor = self.tower(tokens.to(self.tower.positional_embedding.device))
        return features

    def _features(self, prompt: str) -> Tensor:
        """features(prompt) returns what encode gives for this prompt alone, (1, context_length, output_width).

        Remembered for the prompts last used. The caller must not change it.
        """
        return self.encode([prompt])

    def ignored_text(self, prompt: str) -> str:
        """Return the tail of the prompt, as typed, that lies beyond the tower's context ("" when all of it is seen)."""
        if self._fits(prompt):
            return ""
        # The tokenizer never joins across white space, so word by word the count only grows.
        words = list(re.finditer(r"\S+", prompt))
        word = words[bisect.bisect_left(words, True, key=lambda word: not self._fits(prompt[: word.end()]))]
        start = word.start()
        if len(word.group()) > LONG_WORD:
            cuts = range(word.start(), word.end())
            start = cuts[max(bisect.bisect_left(cuts, True, key=lambda cut: not self._fits(prompt[:cut])) - 1, 0)]
        return prompt[start:].strip()

    def _fits(self, text: str) -> bool:
        return len(self.tokenizer.encode(text)) <= self.capacity
