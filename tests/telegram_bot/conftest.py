"""A running stand-in for Telegram, the real application, and the real database. Only the doorbell to RQ is silent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connections

from generations import tasks
from generations.models import Generation, Policy
from telegram_bot import application, inbox, polling
from telegram_bot.bulletins import Herald
from telegram_bot.consumer import Consumer
from telegram_bot.delivery import Courier
from telegram_bot.limiter import FloodLimiter
from telegram_bot.models import ReceivedUpdate
from telegram_bot.simulator import Message, Simulator

ALICE = 1001
BOB = 1002
GROUP = -2001
WORKER = "worker 1"


@pytest.fixture(scope="session")
def telegram_server() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def telegram(telegram_server: Simulator, settings: LazySettings) -> Simulator:
    telegram_server.reset()
    telegram_server.add_user(ALICE, "Alice")
    telegram_server.add_user(BOB, "Bob")
    telegram_server.add_chat(ALICE)
    telegram_server.add_chat(GROUP, "supergroup", "Friends")
    settings.BOT_TOKEN = telegram_server.token
    settings.TELEGRAM_API_URL = telegram_server.url
    return telegram_server


class House:
    """The bot process, one step at a time."""

    def __init__(self, telegram: Simulator, owner: str = "bot 1") -> None:
        self.telegram, self.owner = telegram, owner
        # The limits have their own tests; here nobody wants to wait for them.
        limiter = FloodLimiter(all_chats=(1000, 1.0), private_chat=(1000, 1.0), group=(1000, 1.0))
        self.application = application.build(limiter=limiter)
        self.restart()

    def restart(self) -> None:
        """Everything that was in memory is gone."""
        self.consumer = Consumer(self.application, self.owner)
        self.courier = Courier(self.application.bot, self.owner)
        self.herald = Herald(self.application.bot)
        self.offset: int | None = None

    async def fetch(self) -> int:
        """One poll: store, and confirm with the next one. Returns how many were new."""
        updates = await polling.fetch(self.application.bot, self.offset)
        fresh = await sync_to_async(inbox.store)(updates)
        self.offset = polling.next_offset(updates, self.offset)
        return fresh

    async def receive(self) -> None:
        """Fetch and handle what people have sent."""
        await self.fetch()
        await self.consumer.run_once()

    async def deliver(self) -> None:
        await self.courier.run_once()

    async def notify(self) -> None:
        """Say what the bot says by itself."""
        await self.herald.run_once()

    async def show_status(self) -> None:
        for edit in await self.courier.board.due(set()):
            await self.courier.board.show(edit)

    async def say(self, text: str, chat_id: int = ALICE, **more: Any) -> list[Message]:
        """A person types, the bot handles it; what the bot has written in that chat so far."""
        self.telegram.say(chat_id, text, **more)
        await self.receive()
        return self.telegram.bot_messages(chat_id)

    async def inject(self, update: dict[str, Any]) -> list[Message]:
        self.telegram.inject(update)
        await self.receive()
        return self.telegram.bot_messages(ALICE)


@pytest.fixture
async def house(telegram: Simulator, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(tasks, "_enqueue", lambda job_id: None)
    monkeypatch.setattr(polling, "LONG_POLL_SECONDS", 0)
    house = House(telegram)
    async with house.application:
        yield house
        await house.consumer.speaker.finish(1)
        await house.courier.finish(1)
    # The thread that all these queries ran in keeps its connection, and a database in use cannot be dropped.
    await sync_to_async(connections.close_all)()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real film of one second."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(8))
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for level in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level * 30, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


Finish = Callable[..., Any]


@pytest.fixture
def render(clip: bytes) -> Finish:
    """The worker's part for one row: take it, and store a clip. Called from async tests."""

    def run(generation: Generation | None = None, **facts: Any) -> Generation:
        row = generation or Generation.objects.unfinished().order_by("pk").first()
        assert row is not None
        assert row.start(WORKER)
        path = Path(f"{row.pk}.mp4")
        name = default_storage.save(str(path), ContentFile(clip))
        facts = {"seconds": 12.3, "video_width": 64, "video_height": 64, "duration": 1.0, **facts}
        assert row.succeed(WORKER, file=name, poster="", sha256="", **facts)
        return row

    return sync_to_async(run)


@sync_to_async
def jobs() -> list[Generation]:
    return list(Generation.objects.select_related("requester").order_by("pk"))


@sync_to_async
def job() -> Generation:
    return Generation.objects.select_related("requester").get()


@sync_to_async
def updates() -> list[ReceivedUpdate]:
    return list(ReceivedUpdate.objects.all())


@sync_to_async
def set_policy(**values: Any) -> None:
    Policy.current()
    Policy.objects.update(**values)


@sync_to_async
def change(row: Generation, **values: Any) -> None:
    """Write a row past the state machine."""
    Generation.objects.filter(pk=row.pk).update(**values)


def base(update_id: int = 1, **message: Any) -> dict[str, Any]:
    """An update as Telegram sends it, of a private message without text."""
    person = {"id": ALICE, "is_bot": False, "first_name": "Alice"}
    chat = {"id": ALICE, "type": "private", "first_name": "Alice"}
    content = {"message_id": 10_000 + update_id, "date": 1764000000, "chat": chat, "from": person, **message}
    return {"update_id": update_id, "message": content}
