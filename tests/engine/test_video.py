"""The mp4 as a phone, a browser and the next tool see it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from generations.engine import video as video_module
from generations.engine.base import EngineError
from generations.engine.video import probe_encoder, write_poster, write_video

Frames = npt.NDArray[np.uint8]


@pytest.fixture
def clip() -> Frames:
    """Six frames of a red square that moves right over dark blue."""
    frames = np.full((6, 48, 64, 3), (10, 20, 60), np.uint8)
    for index in range(6):
        frames[index, 16:32, 4 + 6 * index : 20 + 6 * index] = (220, 30, 30)
    return frames


def decoded(path: Path) -> Frames:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def boxes(path: Path) -> list[str]:
    """The kinds of the file's top-level boxes, in order."""
    content, place, kinds = path.read_bytes(), 0, []
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        kinds.append(content[place + 4 : place + 8].decode())
        place += size
    return kinds


def test_every_player_can_play_it(tmp_path: Path, clip: Frames) -> None:
    path = tmp_path / "clip.mp4"
    video = write_video(clip, path, 8)
    with av.open(str(path)) as container:
        [stream] = container.streams
        context = stream.codec_context
        assert (context.name, stream.profile, stream.pix_fmt) == ("h264", "High", "yuv420p")
        assert (stream.width, stream.height, stream.frames, stream.average_rate) == (64, 48, 6, 8)
        # Limited range, and BT.709 for matrix, primaries and transfer.
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
        assert stream.duration * stream.time_base == Fraction(6, 8)
    kinds = boxes(path)
    assert kinds.index("moov") < kinds.index("mdat")
    content = path.read_bytes()
    assert (video.path, video.width, video.height) == (path, 64, 48)
    assert (video.frames, video.fps, video.duration) == (6, 8, 0.75)
    assert (video.size, video.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_it_shows_what_was_rendered(tmp_path: Path, clip: Frames) -> None:
    write_video(clip, tmp_path / "clip.mp4", 8)
    shown = decoded(tmp_path / "clip.mp4")
    assert shown.shape == clip.shape
    assert np.abs(shown.astype(int) - clip).mean() < 3
    for index in range(6):
        assert np.abs(shown[index, 24, 12 + 6 * index].astype(int) - (220, 30, 30)).max() < 12


def test_the_same_frames_give_the_same_bytes(tmp_path: Path, clip: Frames) -> None:
    metadata = {"prompt": "a", "seed": 1}
    first, again = (write_video(clip, tmp_path / name, 8, metadata=metadata) for name in ("1.mp4", "2.mp4"))
    assert first.sha256 == again.sha256


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    # SMPTE's full bars in BT.709, 8 bits.
    [
        ((255, 255, 255), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
    ],
)
def test_colours_are_those_of_the_standard(rgb: tuple[int, int, int], yuv: tuple[int, int, int]) -> None:
    planes = video_module._yuv420p(np.full((4, 6, 3), rgb, np.uint8))
    assert planes.shape == (6, 6)
    assert [set(map(int, part)) for part in np.split(planes.ravel(), [24, 30])] == [{value} for value in yuv]


def test_colour_is_sited_left_as_players_expect() -> None:
    """A red column among black ones: a quarter of it in the cell to its right, half in its own when it is even."""
    picture = np.zeros((2, 8, 3), np.uint8)
    picture[:, 2] = 255, 0, 0
    red, own = 240 - 128, video_module._yuv420p(picture).ravel()[16 + 4 :]
    assert own.tolist() == [128, 128 + red // 2, 128, 128]
    picture[:, 2], picture[:, 3] = 0, (255, 0, 0)
    assert video_module._yuv420p(picture).ravel()[16 + 4 :].tolist() == [128, 128 + red // 4, 128 + red // 4, 128]


@pytest.mark.parametrize("fps", [8, 8.0, np.float64(7.5), np.float32(12), np.int64(8), Fraction(30000, 1001), 0.5])
def test_any_kind_of_number_is_a_frame_rate(tmp_path: Path, clip: Frames, fps: Any) -> None:
    video = write_video(clip, tmp_path / "clip.mp4", fps)
    with av.open(str(video.path)) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(float(fps), rel=1e-6)
    assert (video.fps, video.duration) == (pytest.approx(float(fps)), pytest.approx(6 / float(fps)))


@pytest.mark.parametrize("fps", [0, -8, float("nan"), float("inf"), 1000, "fast", None])
def test_a_frame_rate_that_is_none_is_refused(tmp_path: Path, clip: Frames, fps: Any) -> None:
    with pytest.raises(EngineError, match="fps must be a number above 0 and up to 240"):
        write_video(clip, tmp_path / "clip.mp4", fps)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_axis_of_one_makes_no_difference(tmp_path: Path, clip: Frames) -> None:
    plain, batch = write_video(clip, tmp_path / "1.mp4", 8), write_video(clip[None], tmp_path / "2.mp4", 8)
    assert plain.sha256 == batch.sha256


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (np.zeros((0, 48, 64, 3), np.uint8), "there are no frames"),
        (np.zeros((1, 0, 48, 64, 3), np.uint8), "there are no frames"),
        (np.zeros((2, 4, 48, 64, 3), np.uint8), r"frames must be \(F, H, W, 3\)"),
        (np.zeros((4, 3, 48, 64), np.uint8), r"frames must be \(F, H, W, 3\)"),
        (np.zeros((4, 1, 64, 3), np.uint8), r"frames must be \(F, H, W, 3\)"),
        (np.full((4, 48, 64, 3), np.nan, np.float32), "frames must be uint8, not float32"),
    ],
    ids=["no frames", "no frames in a batch", "two clips", "channels first", "one row", "NaN"],
)
def test_frames_that_are_no_video_are_refused(tmp_path: Path, frames: Any, reason: str) -> None:
    with pytest.raises(EngineError, match=reason) as caught:
        write_video(frames, tmp_path / "clip.mp4", 8)
    assert caught.value.public_reason == "No video came out. Please try again."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("frames", [1, 2, 33])
def test_any_number_of_frames_arrives(tmp_path: Path, clip: Frames, frames: int) -> None:
    video = write_video(np.repeat(clip[:1], frames, axis=0), tmp_path / "clip.mp4", 8)
    assert len(decoded(video.path)) == video.frames == frames


def test_odd_sides_are_cut_to_even_ones(tmp_path: Path, clip: Frames) -> None:
    video = write_video(clip[:, :47, :61], tmp_path / "clip.mp4", 8)
    assert (video.width, video.height) == (60, 46)
    assert decoded(video.path).shape == (6, 46, 60, 3)


def test_a_small_clip_is_enlarged_without_stairs_or_blur(tmp_path: Path, clip: Frames) -> None:
    video = write_video(clip, tmp_path / "clip.mp4", 8, upscale=4)
    shown = decoded(video.path)[0].astype(int)
    assert (video.width, video.height) == (256, 192)
    assert np.abs(shown[96, 48] - (220, 30, 30)).max() < 12
    # The edge at column 16 takes fewer than two of the small pixels to change.
    assert np.abs(shown[96, 10] - (10, 20, 60)).max() < 25
    assert np.abs(shown[96, 22] - (220, 30, 30)).max() < 25


@pytest.mark.parametrize("upscale", [0, 1.5, 17, True])
def test_an_enlargement_that_is_no_whole_factor_is_refused(tmp_path: Path, clip: Frames, upscale: Any) -> None:
    with pytest.raises(EngineError, match="upscale must be a whole number from 1 to 16"):
        write_video(clip, tmp_path / "clip.mp4", 8, upscale=upscale)


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("a red circle", "a red circle"),
        ("two\nlines\r\n and\ta tab", "two lines and a tab"),
        ("nul\0 and \x1b[31m", "nul and [31m"),
        ("панда 🐼 \U0001f468\u200d\U0001f469", "панда 🐼 👨 👩"),
        ("\ud800 alone", "alone"),
        ("\u202e evil", "evil"),
        ("x" * 100_000, "x" * 200),
        ("", None),
    ],
    ids=["plain", "lines", "control", "emoji", "surrogate", "direction", "long", "empty"],
)
def test_the_prompt_and_the_settings_can_be_read_back(
    tmp_path: Path, clip: Frames, prompt: str, title: str | None
) -> None:
    metadata = {"prompt": prompt, "seed": 7, "guidance_scale": 9.0}
    write_video(clip, tmp_path / "clip.mp4", 8, metadata=metadata)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.metadata.get("title") == title
        assert json.loads(container.metadata["comment"]) == metadata


def test_a_clip_without_metadata_has_no_comment(tmp_path: Path, clip: Frames) -> None:
    write_video(clip, tmp_path / "clip.mp4", 8)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert not {"title", "comment"} & set(container.metadata)


@pytest.mark.parametrize("folder", ["missing", "a-file"])
def test_a_folder_that_cannot_be_written_to_fails_in_words(tmp_path: Path, clip: Frames, folder: str) -> None:
    (tmp_path / "a-file").write_text("not a folder")
    for write in (lambda path: write_video(clip, path, 8), lambda path: write_poster(clip[0], path)):
        with pytest.raises(EngineError, match="could not be written") as caught:
            write(tmp_path / folder / "clip.mp4")
        assert "could not be saved" in caught.value.public_reason
        assert caught.value.retryable
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from generations.engine.base import EngineError
from generations.engine.video import write_poster, write_video

frames = np.random.default_rng(0).integers(0, 255, (8, 128, 128, 3), dtype=np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write in (lambda: write_video(frames, Path(sys.argv[1]) / "clip.mp4", 8),
              lambda: write_poster(frames[0], Path(sys.argv[1]) / "clip.jpg")):
    try:
        write()
    except EngineError as error:
        print(error.public_reason)
"""


def test_a_full_disk_fails_in_words_and_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("the old video")
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert told.count("could not be saved") == 2
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("clip.mp4", "the old video")]


def test_a_finished_video_replaces_an_old_one_and_can_be_read_by_others(tmp_path: Path, clip: Frames) -> None:
    (tmp_path / "clip.mp4").write_text("the old video")
    (tmp_path / "plain").touch()
    video = write_video(clip, tmp_path / "clip.mp4", 8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "plain"]
    assert len(decoded(video.path)) == 6
    assert video.path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(("height", "width", "size"), [(48, 64, (64, 48)), (256, 576, (320, 142)), (64, 64, (64, 64))])
def test_the_poster_fits_telegrams_limits(tmp_path: Path, height: int, width: int, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    path = write_poster(noise, tmp_path / "poster.jpg")
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("JPEG", size)
    assert path.stat().st_size < 200_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["poster.jpg"]


def test_the_poster_is_enlarged_like_its_video(tmp_path: Path, clip: Frames) -> None:
    with Image.open(write_poster(clip[0], tmp_path / "poster.jpg", upscale=4)) as picture:
        assert picture.size == (256, 192)


def test_the_encoder_is_probed_without_leaving_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    probe_encoder()
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_cannot_encode_is_noticed_by_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    with pytest.raises(EngineError, match="no temporary folder"):
        probe_encoder()
