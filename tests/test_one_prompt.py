"""Read this first: one prompt, from a chat to a video in the same chat, through every real part but Telegram itself.

The bot and the worker are the real processes, the queue and the database are real, and the demo model renders. Telegram
is the stand-in, which speaks the same HTTP.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from telegram_bot.simulator import Simulator
from tests.installation import Installation, slow_demo_model

pytestmark = [pytest.mark.services, pytest.mark.slow]

ALICE = 1001
PROMPT = "a red circle moving right"


@pytest.fixture
def telegram() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.add_user(ALICE, "Alice")
        simulator.add_chat(ALICE)
        yield simulator


@pytest.fixture
def installation(telegram: Simulator, installation_folder: Path) -> Iterator[Installation]:
    model = slow_demo_model(installation_folder / "model")
    environment = {"BOT_TOKEN": telegram.token, "TELEGRAM_API_URL": telegram.url, "MODEL": str(model)}
    with Installation(installation_folder, **environment) as installation:
        yield installation


def test_a_prompt_comes_back_as_a_video(telegram: Simulator, installation: Installation) -> None:
    # An operator starts everything.
    installation.start_queue()
    installation.manage("migrate", "--verbosity", "0")
    installation.start("rqworker", "gpu")
    installation.start("runbot")
    installation.wait_until(lambda: "Listening on" in installation.log("rqworker"), "the worker is ready")

    # Alice says hello, and the bot greets her with a reply.
    hello = telegram.say(ALICE, "/start")["message"]["message_id"]
    installation.wait_until(lambda: telegram.bot_messages(ALICE), "a greeting")
    [greeting] = telegram.bot_messages(ALICE)
    assert greeting.reply_to == hello
    assert "video" in greeting.text.lower()

    # She types what she wants to see. One message of the bot stands for it from now on, and becomes the video.
    telegram.say(ALICE, PROMPT)
    installation.wait_until(lambda: len(telegram.bot_messages(ALICE)) > 1, "a status message")
    installation.wait_until(lambda: telegram.bot_messages(ALICE)[1].video, "the video")
    messages = telegram.bot_messages(ALICE)
    assert len(messages) == 2
    # A worker that is quicker than the bot's first message leaves out "queued".
    states = [text.split()[0] for text in messages[1].texts[:-1]]
    assert "Rendering" in states
    assert states == sorted(states, key=["Queued,", "Rendering"].index)

    # What arrived is a film that any phone plays, with the sides and the length that the chat was told.
    video = messages[1].video
    assert video is not None
    frames, facts = decoded(telegram.file(video["file_id"]))
    assert len(frames) == 16
    assert (video["width"], video["height"]) == (frames.shape[2], frames.shape[1]) == (256, 256)
    assert video["duration"] == 2
    assert frames.max() > 100
    assert (frames[0] != frames[-1]).any()

    # It says how it was made, and that is enough to make it again.
    assert facts["prompt"] == PROMPT
    again = installation.folder / "again.mp4"
    installation.manage("generate", PROMPT, "--seed", str(facts["seed"]), "--out", str(again))
    assert (decoded(again.read_bytes())[0] == frames).all()

    # The database tells the same story, and the model was loaded once.
    story = "from generations.models import Generation as G; g = G.objects.get(); print(g.prompt, g.status, g.delivery)"
    installation.wait_until(
        lambda: installation.manage("shell", "--no-imports", "-c", story) == f"{PROMPT} succeeded delivered\n",
        "the row says delivered",
    )
    assert installation.log("rqworker").count("model loaded") == 1

    # Nobody wrote the token anywhere.
    assert telegram.token not in installation.log("runbot") + installation.log("rqworker")


def test_the_video_shows_what_the_words_say(installation_folder: Path) -> None:
    """The same without chat and queue, and with a fixed seed, so that it is the same video every time."""
    out = installation_folder / "out.mp4"
    with Installation(installation_folder) as installation:
        printed = installation.manage("generate", PROMPT, "--seed", "7", "--out", str(out))
    assert printed == f"{out}\n"
    frames, _ = decoded(out.read_bytes())
    levels = frames.astype(int)
    red = (levels[..., 0] > 120) & (levels[..., 1] < 100) & (levels[..., 2] < 100)
    other = levels.max(axis=-1) > 120
    assert (red.sum() / other.sum()) > 0.9
    # How far right the red pixels lie on average, frame by frame.
    path = [np.nonzero(frame)[1].mean() for frame in red]
    assert path == sorted(path)
    assert path[-1] - path[0] > 60


def decoded(content: bytes) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """All frames as RGB, and the facts in the file; fails when it is not what Telegram and browsers want."""
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(io.BytesIO(content)) as container:
        [stream] = container.streams
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return np.stack(frames), json.loads(container.metadata["comment"])
