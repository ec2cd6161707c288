"""A running stand-in, a bot that talks to it, and a tiny clip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from telegram import Bot
from telegram.request import HTTPXRequest

from telegram_bot.simulator import Simulator

CHAT = 1001


@pytest.fixture(scope="session")
def server() -> Iterator[Simulator]:
    """Started once: starting and stopping takes longer than most tests."""
    with Simulator() as running:
        yield running


@pytest.fixture
def sim(server: Simulator) -> Simulator:
    server.reset()
    server.add_user(CHAT, "Ada", username="ada")
    server.add_chat(CHAT)
    return server


def make_bot(sim: Simulator, token: str = "") -> Bot:
    """PTB's own bot, pointed at the stand-in. No proxy and no certificates: the address is on this machine."""

    def request() -> HTTPXRequest:
        return HTTPXRequest(httpx_kwargs={"trust_env": False, "verify": False})

    return Bot(
        token or sim.token,
        base_url=sim.base_url,
        base_file_url=sim.base_file_url,
        request=request(),
        get_updates_request=request(),
    )


@pytest.fixture
async def bot(sim: Simulator) -> AsyncIterator[Bot]:
    async with make_bot(sim) as running:
        yield running


def make_clip(path: Path, frames: int = 16, side: int = 64) -> bytes:
    """H.264 as the product makes it: a square that moves, 8 frames a second."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as clip:
        stream = clip.add_stream("libx264", rate=Fraction(8))
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.zeros((side, side, 3), np.uint8)
            left = number * (side // 2) // frames
            picture[side // 4 : side // 2, left : left + side // 4] = (230, 60, 60)
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        clip.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")
