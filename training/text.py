"""Stage 2: the text tower, an open_clip text transformer taught to tell what captions ask for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import TextTransformer
from torch import nn

from training.captions import (
    ASPECTS,
    BACKGROUND_PHRASES,
    BACKGROUND_WORDS,
    BLACK_PHRASES,
    CLASSES,
    COLOUR_WORDS,
    ENDINGS,
    FILLERS,
    FRAMES,
    HELD_OUT_PHRASES,
    MOTION_PHRASES,
    OPENINGS,
    SHAPE_WORDS,
    SIZE_WORDS,
    Caption,
    caption,
)
from training.progress import Stage, cosine, set_rate
from training.upstream import Network, device
from training.world import FULL, World, random_scene

CONTEXT = 77
VOCABULARY = 49408
TOWER = {"width": 128, "heads": 4, "layers": 2}
WIDTH = 1024
END_OF_TEXT = 49407
# Prompts contain words no training caption has: their rows are zero, and the tower must read past them.
UNKNOWN_SHARE = 0.3


@cache
def tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer()


def tokens(texts: Sequence[str]) -> torch.Tensor:
    """CLIP token ids, (n, 77)."""
    return tokenizer()(list(texts), context_length=CONTEXT)


@cache
def known_tokens() -> torch.Tensor:
    """Sorted ids of every token a caption may contain."""
    words = [*OPENINGS, *ENDINGS, *FILLERS, *BLACK_PHRASES, "a an the one shape thing object is", ": , . ! ?"]
    words += [frame.replace("{", " ").replace("}", " ") for frame in (*FRAMES, *BACKGROUND_PHRASES)]
    for table in (COLOUR_WORDS, SHAPE_WORDS, MOTION_PHRASES, HELD_OUT_PHRASES, BACKGROUND_WORDS, SIZE_WORDS):
        words += [word for choices in table.values() for word in choices]
    return torch.unique(tokens([*words, *(f"a {word.strip()}, please" for word in words)]))


class TextTower(nn.Module):
    """The tower with one row per known token and one zero row for all others: the full table would train no better."""

    def __init__(self) -> None:
        super().__init__()
        known = known_tokens()
        self.tower: Network = TextTransformer(
            context_length=CONTEXT, vocab_size=len(known) + 1, output_dim=WIDTH, **TOWER
        )
        self.unknown = len(known)
        rows = torch.full((VOCABULARY,), self.unknown)
        rows[known] = torch.arange(len(known))
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """CLIP ids (n, 77) -> text features (n, 77, 1024): ln_final, then the projection, on every token."""
        rows = self.get_buffer("rows")[ids]
        x = self.tower.token_embedding(rows) * (rows != self.unknown).unsqueeze(-1)
        x = x + self.tower.positional_embedding
        x = self.tower.transformer(x, attn_mask=self.tower.attn_mask)
        return self.tower.ln_final(x) @ self.tower.text_projection

    def start_from(self, state: dict[str, torch.Tensor]) -> None:
        """Take over another tower's full_state. Known tokens that it had no row for keep their fresh one."""
        table = state["token_embedding.weight"].to_dense().float()[known_tokens()]
        fresh = self.tower.token_embedding.weight.detach().clone()
        fresh[: self.unknown] = torch.where(table.any(dim=1, keepdim=True), table, fresh[: self.unknown])
        weights = {name: value for name, value in state.items() if name != "token_embedding.weight"}
        self.tower.load_state_dict({**weights, "token_embedding.weight": fresh})

    def full_state(self) -> dict[str, torch.Tensor]:
        """open_clip's own key names with the whole 49408-row table, unseen rows zero."""
        state = {name: value.cpu() for name, value in self.tower.state_dict().items()}
        table = torch.zeros(VOCABULARY, TOWER["width"])
        table[known_tokens()] = state["token_embedding.weight"][: self.unknown]
        return {**state, "token_embedding.weight": table}


def with_unknown_words(ids: torch.Tensor, random: torch.Generator, share: float = UNKNOWN_SHARE) -> torch.Tensor:
    """Insert one or two words that nobody knows into a share of the rows (n, 77)."""
    unknown_id = int((~torch.isin(torch.arange(VOCABULARY), known_tokens())).nonzero()[1000])
    ids = ids.clone()
    for row in ids:
        if torch.rand((), generator=random) < share:
            for _ in range(int(torch.randint(1, 3, (), generator=random))):
                end = int((row == END_OF_TEXT).nonzero()[0])
                if end < CONTEXT - 1:
                    place = int(torch.randint(1, end + 1, (), generator=random))
                    row[place + 1 :] = row[place:-1].clone()
                    row[place] = unknown_id
    return ids


def random_captions(random: torch.Generator, count: int, world: World) -> list[Caption]:
    return [caption(random_scene(random, world, unseen=False), random, omit=0.05) for _ in range(count)]


def train_text(
    run: Path, seed: int, seconds: float, start: dict[str, torch.Tensor] | None = None, world: World = FULL
) -> TextTower:
    """Train or resume; return the frozen tower, its weights rounded to the half precision they ship in.

    start: a released tower's state, to go on from.
    """
    torch.manual_seed(seed + 1)
    tower = TextTower().to(device())
    # One class more each for "not said".
    sizes = [len(CLASSES[aspect]) + 1 for aspect in ASPECTS]
    heads = nn.ModuleList(nn.Linear(WIDTH, size) for size in sizes).to(device())
    everything = nn.ModuleList([tower, heads])
    optimiser = torch.optim.AdamW(everything.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    stage = Stage(run, "text", seconds)
    if state := stage.load():
        everything.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    elif start:
        tower.start_from(start)
    random = torch.Generator().manual_seed(seed * 1_000_003 + 500_000 + stage.step)
    right: list[float] = []
    while stage.progress < 1:
        set_rate(optimiser, cosine(stage.progress, 1.5e-3))
        batch = random_captions(random, 62, world)
        ids = tokens([item.text for item in batch] + ["", ""])
        ids = with_unknown_words(ids, random).to(device())
        labels = torch.tensor([item.labels for item in batch] + [(-1,) * len(ASPECTS)] * 2, device=device())
        features = tower(ids)
        ends = (ids == END_OF_TEXT).int().argmax(dim=1)
        loss = features.new_zeros(())
        correct = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        # Attention reads every token from the end of the text on, so any of them must tell the whole story.
        for place in range(3):
            later = torch.rand(len(ids), generator=random).to(ids.device)
            late = ends + ((CONTEXT - 1 - ends) * later).long() if place else ends
            seen = features[torch.arange(len(ids), device=ids.device), late]
            for column, head in enumerate(heads):
                wanted = labels[:, column] % sizes[column]
                scores = head(seen)
                loss = loss + F.cross_entropy(scores, wanted) / 3
                correct &= scores.argmax(dim=1) == wanted
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(everything.parameters(), 1.0)
        optimiser.step()
        stage.step += 1
        right.append(float(correct.float().mean()))
        if stage.log_every(10):
            stage.log(f"loss {loss.item():.4f}, all right at three places {sum(right) / len(right):.1%}")
            right.clear()
        if stage.due():
            stage.save(model=everything.state_dict(), optimiser=optimiser.state_dict())
    stage.save(model=everything.state_dict(), optimiser=optimiser.state_dict())
    tower.half().float().eval().requires_grad_(False)
    return tower
