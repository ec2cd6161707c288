"""A video that is too large becomes a smaller one that shows the same."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from generations.engine.base import EngineError
from generations.engine.video import shrink_video, write_video


def noise(frames: int, side: int = 128) -> np.ndarray:
    """What an encoder can do least with."""
    return np.random.default_rng(7).integers(0, 255, (frames, side, side, 3), np.uint8)


@pytest.mark.parametrize(("frames", "share"), [(16, 2), (16, 4), (80, 3)])
def test_it_is_as_small_as_asked_for_and_the_same_clip_otherwise(tmp_path: Path, frames: int, share: int) -> None:
    large = write_video(noise(frames), tmp_path / "large.mp4", 7.5, metadata={"prompt": "a cat", "seed": 5})
    small = shrink_video(large.path, tmp_path / "small.mp4", large.size // share)
    assert 0.4 * large.size / share < small.size <= large.size / share
    assert small.size == small.path.stat().st_size
    same = ("width", "height", "frames", "fps", "duration")
    assert [getattr(small, name) for name in same] == [getattr(large, name) for name in same]
    with av.open(str(large.path)) as before, av.open(str(small.path)) as after:
        assert after.metadata["title"] == "a cat"
        assert after.metadata["comment"] == before.metadata["comment"]


def test_it_still_shows_what_it_showed(tmp_path: Path) -> None:
    picture = np.zeros((16, 64, 64, 3), np.uint8)
    picture[:, :, 32:] = (200, 40, 40)
    large = write_video(picture + noise(16, 64) // 16, tmp_path / "large.mp4", 8)
    small = shrink_video(large.path, tmp_path / "small.mp4", large.size // 2)
    with av.open(str(small.path)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 16
    for frame in shown:
        assert np.abs(frame[:, 40:].mean(axis=(0, 1)) - (207, 47, 47)).max() < 8
        assert frame[:, :24].mean() < 16


@pytest.mark.parametrize("content", [b"", b"not a video" * 1000])
def test_what_is_no_video_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "large.mp4"
    source.write_bytes(content)
    with pytest.raises(EngineError):
        shrink_video(source, tmp_path / "small.mp4", 1000)
    assert list(tmp_path.iterdir()) == [source]
