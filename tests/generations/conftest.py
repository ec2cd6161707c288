"""A queue server, people and rows, and an engine that draws noise. Everything else is the real thing."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import django_rq
import numpy as np
import numpy.typing as npt
import pytest
from django.conf import settings
from django.db import connection
from django_rq.settings import QUEUES
from rq import Queue

from generations import embedded, rendering
from generations.engine.base import EngineError, Outcome, RenderCancelled, StepCallback, VideoSpec
from generations.engine.card import ModelCard
from generations.models import Generation, Requester, Status

CARD = replace(ModelCard(), name="stand-in", frames=4, width=64, height=64, steps=4, size_multiple=8)


class StandInEngine:
    """base.Engine without weights: frames are noise of the seed.

    before_step runs before each step is reported, and what it raises ends all of a render; what before_own_step raises
    ends the one clip.
    """

    def __init__(self) -> None:
        self.card = CARD
        self.rendered: list[VideoSpec] = []
        self.renders: list[list[str]] = []
        self.before_step: Callable[[int], None] = lambda done: None
        self.before_own_step: Callable[[VideoSpec, int], None] = lambda spec, done: None

    def render(self, specs: Sequence[VideoSpec], on_step: StepCallback) -> list[Outcome]:
        self.renders.append([spec.prompt for spec in specs])
        ended: dict[int, Outcome] = {}
        for done in range(1, specs[0].steps + 1):
            if len(ended) == len(specs):
                break
            self.before_step(done)
            for place, spec in enumerate(specs):
                try:
                    if place not in ended:
                        self.before_own_step(spec, done)
                        on_step(place, done, spec.steps)
                except (EngineError, RenderCancelled) as error:
                    ended[place] = error
        self.rendered += [spec for place, spec in enumerate(specs) if place not in ended]
        return [ended.get(place, self._frames(spec)) for place, spec in enumerate(specs)]

    def together(self, spec: VideoSpec, most: int | None = None) -> int:
        return most or 1

    def _frames(self, spec: VideoSpec) -> npt.NDArray[np.uint8]:
        shape = (spec.frames, spec.height, spec.width, 3)
        return np.random.default_rng(spec.seed).integers(0, 255, shape, np.uint8)

    def describe_device(self) -> str:
        return "stand-in"

    def ignored_text(self, prompt: str) -> str:
        return " ".join(prompt.split()[77:])

    def self_test(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInEngine]:
    stand_in = StandInEngine()
    monkeypatch.setattr(rendering, "load_engine", lambda *_: stand_in)
    rendering.engine.cache_clear()
    rendering.shutdown_due.clear()
    rendering.stop_pressed.clear()
    yield stand_in
    rendering.engine.cache_clear()
    rendering.shutdown_due.clear()


MakeRow = Callable[..., Generation]


@pytest.fixture
def make_row() -> MakeRow:
    """A row in any state, written past the state machine."""

    def make(user_id: int = 1, **values: Any) -> Generation:
        requester = Requester.objects.get_or_create(user_id=user_id)[0]
        values = {
            "prompt": "a red circle",
            "seed": 7,
            **{name: getattr(CARD, name) for name in ("frames", "width", "height", "fps", "steps", "guidance_scale")},
            "status": Status.QUEUED,
            **values,
        }
        return Generation.objects.create(requester=requester, request_key=secrets.token_hex(8), **values)

    return make


@pytest.fixture(scope="session")
def queue_server() -> Iterator[None]:
    """REDIS_URL's server, or the embedded one on this run's own socket."""
    if not settings.EMBEDDED_REDIS:
        yield
        return
    server = Server(settings.DATA_DIR, settings.REDIS_SOCKET)
    server.start()
    yield
    server.stop()


class Server:
    """A Valkey of our own, which a test may kill."""

    def __init__(self, home: Path, socket: Path) -> None:
        self.command = embedded.valkey_command(home, socket)
        self.url = f"unix://{socket}?db=0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        wait_until(lambda: embedded.answers(self.url))

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Not started. In /tmp: the kernel allows 107 characters for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="t2v-") as home:
        server = Server(Path(home), Path(home) / "valkey.sock")
        monkeypatch.setitem(QUEUES["gpu"], "URL", server.url)
        yield server
        server.stop()


@pytest.fixture
def queue(queue_server: None) -> Iterator[Queue]:
    """The empty doorbell."""
    bell = django_rq.get_queue("gpu")
    bell.connection.flushdb()
    yield bell
    bell.connection.flushdb()
    bell.connection.close()


def at_once(threads: int, act: Callable[[int], Any]) -> list[Exception]:
    """Call act with each number, all at the same moment, each with a connection of its own. What they raised."""
    together, raised = threading.Barrier(threads), list[Exception]()

    def run(number: int) -> None:
        try:
            together.wait()
            act(number)
        except Exception as error:
            # For the test to look at; a thread would swallow it.
            raised.append(error)
        finally:
            connection.close()

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return raised


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
