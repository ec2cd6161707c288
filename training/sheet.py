"""Contact sheets: one row per clip, some of its frames, the prompt above it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from training.world import SIDE


def contact_sheet(
    path: Path, clips: torch.Tensor, captions: Sequence[str], *, columns: int = 8, enlarge: int = 1
) -> None:
    """Save clips (n, frames, 3, 64, 64) in -1..1 as a PNG. columns: frames shown of each, evenly spread."""
    text_height, gap, side = 14, 2, SIDE * enlarge
    row = side + text_height + gap
    sheet = Image.new("RGB", (columns * (side + gap), len(clips) * row), (40, 40, 40))
    pen = ImageDraw.Draw(sheet)
    for index, (clip, caption) in enumerate(zip(clips, captions, strict=True)):
        pen.text((2, index * row + 1), caption, fill=(255, 255, 255))
        chosen = torch.linspace(0, len(clip) - 1, columns).round().long()
        for column, frame in enumerate(clip[chosen]):
            pixels = ((frame.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
            picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(picture, (column * (side + gap), index * row + text_height))
    sheet.save(path, optimize=True)
