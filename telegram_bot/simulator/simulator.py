"""The stand-in as tests hold it: people's actions, what happened, and faults, in one object."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from types import TracebackType
from typing import Any

from . import people
from .chats import Message
from .errors import Json
from .faults import Fault
from .record import Call
from .server import build_server, listen
from .world import DEFAULT_TOKEN, World

START_LIMIT = 10.0


class Wish:
    """A condition that keeps the value it came true with."""

    def __init__(self, predicate: Callable[[], Any]) -> None:
        self.predicate = predicate
        self.value: Any = None

    def ready(self) -> bool:
        """Look once more."""
        self.value = self.predicate()
        return bool(self.value)

    def result(self, happened: bool, timeout: float) -> Any:
        """The value, or a failed test."""
        if not happened:
            raise AssertionError(f"did not happen within {timeout} s; last seen: {self.value!r}")
        return self.value


class Simulator:
    """A stand-in for tests: `with Simulator() as sim:` and give a bot `sim.base_url` and `sim.base_file_url`."""

    def __init__(self, token: str = DEFAULT_TOKEN, port: int = 0, host: str = "127.0.0.1") -> None:
        self.token = token
        self.world = World(token)
        self._socket = listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self._server, self._wire = build_server(self.world)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._server.serve(sockets=[self._socket]))

    def start(self) -> Simulator:
        """Serve from a thread of its own."""
        self._thread.start()
        deadline = time.monotonic() + START_LIMIT
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the simulator did not start")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Send everybody home and free the port."""
        self._server.should_exit = True
        self.world.bell.close()
        if self._thread.ident is not None:
            self._thread.join(START_LIMIT)
        self._socket.close()

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # addresses

    @property
    def url(self) -> str:
        """The chat page; also what TELEGRAM_API_URL wants."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """For PTB's base_url."""
        return f"{self.url}/bot"

    @property
    def base_file_url(self) -> str:
        """For PTB's base_file_url."""
        return f"{self.url}/file/bot"

    # what people do; each gives the update the bot will see

    def say(self, chat_id: int, text: str, **more: Any) -> Json:
        """Type a text. More: user_id, reply_to, thread_id."""
        return people.say(self.world, chat_id, text, **more)

    def send(self, chat_id: int, kind: str, **more: Any) -> Json:
        """Send a sticker, photo, video, voice, document ... More: caption, user_id, reply_to, thread_id."""
        return people.send(self.world, chat_id, kind, **more)

    def press(self, chat_id: int, message_id: int, button: str, **more: Any) -> Json:
        """Press a button by its words or data. More: user_id, expired."""
        return people.press(self.world, chat_id, message_id, button, **more)

    def ask_inline(self, user_id: int, query: str, offset: str = "") -> Json:
        """Type the bot's name and some words in another chat."""
        return people.ask_inline(self.world, user_id, query, offset)

    def inline_answer(self, update: Json) -> Json | None:
        """What that was answered with, None as long as it was not."""
        with self.world.bell.reading():
            return deepcopy(self.world.inline_queries.get(update["inline_query"]["id"]))

    def allow_inline(self, allowed: bool = True) -> None:
        """Switch inline mode on or off, as BotFather does. A bot learns it from getMe."""
        people.allow_inline(self.world, allowed)

    def promote(self, chat_id: int, user_id: int) -> None:
        """Make someone an administrator of a group."""
        people.promote(self.world, chat_id, user_id)

    def edit(self, chat_id: int, message_id: int, text: str) -> Json:
        """Change what was typed."""
        return people.edit(self.world, chat_id, message_id, text)

    def delete(self, chat_id: int, message_id: int) -> None:
        """Delete a message."""
        people.delete(self.world, chat_id, message_id)

    def react(self, chat_id: int, message_id: int, emoji: str, **more: Any) -> Json:
        """Put an emoji on a message. More: user_id."""
        return people.react(self.world, chat_id, message_id, emoji, **more)

    def block(self, chat_id: int, blocked: bool = True) -> Json:
        """Block the bot, or let it in again."""
        return people.block(self.world, chat_id, blocked)

    def migrate(self, chat_id: int, new_chat_id: int) -> None:
        """Turn a group into a supergroup."""
        people.migrate(self.world, chat_id, new_chat_id)

    def add_user(self, user_id: int, first_name: str = "", **names: str | None) -> Json:
        """Make or rename a person: last_name, username, language_code."""
        with self.world.bell.changing():
            return deepcopy(self.world.add_user(user_id, first_name, **names))

    def add_chat(self, chat_id: int, kind: str = "", title: str = "", is_forum: bool = False) -> Json:
        """Make a chat: private, group, supergroup or channel."""
        with self.world.bell.changing():
            return self.world.add_chat(chat_id, kind, title, is_forum).as_json()

    def add_topic(self, chat_id: int, name: str) -> int:
        """Open a topic and give its thread id."""
        return people.add_topic(self.world, chat_id, name)

    def set_topic(self, chat_id: int, thread_id: int, closed: bool = False, deleted: bool = False) -> None:
        """Close, open or delete a topic."""
        people.set_topic(self.world, chat_id, thread_id, closed, deleted)

    def inject(self, update: Json, replayed: bool = True) -> Json:
        """Queue an update exactly as given; `replayed` gets an old number past the bot's offset, once."""
        with self.world.bell.changing():
            return self.world.updates.inject(update, replayed)

    # what happened

    def messages(self, chat_id: int, deleted: bool = False) -> list[Message]:
        """Copies of a chat's messages in order, deleted ones only if asked."""
        with self.world.bell.reading():
            chat = self.world.chats.get(chat_id)
            found = [] if chat is None else list(chat.messages.values())
            return deepcopy([message for message in found if deleted or not message.deleted])

    def bot_messages(self, chat_id: int) -> list[Message]:
        """Only what the bot wrote."""
        return [message for message in self.messages(chat_id) if message.from_bot]

    def calls(self, method: str | None = None, chat_id: int | None = None) -> list[Call]:
        """Copies of the calls, all but getUpdates unless named."""
        with self.world.bell.reading():
            return deepcopy(self.world.record.calls(method, chat_id))

    def file(self, file_id: str) -> bytes:
        """The bytes behind a file_id."""
        with self.world.bell.reading():
            stored = self.world.files.by_id(file_id)
        if stored is None:
            raise KeyError(file_id)
        return stored.data

    def pending_updates(self) -> int:
        """How many updates the bot has not confirmed."""
        with self.world.bell.reading():
            return len(self.world.updates.waiting)

    def wait_for(self, predicate: Callable[[], Any], timeout: float = 5.0) -> Any:
        """Block until the predicate is true and give its value; AssertionError when the time is up."""
        wish = Wish(predicate)
        return wish.result(self.world.bell.wait_for(wish.ready, timeout), timeout)

    async def until(self, predicate: Callable[[], Any], timeout: float = 5.0) -> Any:
        """Like `wait_for`, for tests whose bot runs in the same event loop."""
        wish = Wish(predicate)
        return wish.result(await self.world.bell.until(wish.ready, timeout), timeout)

    # faults

    def fail(self, method: str = "*", status: int = 500, **more: Any) -> Fault:
        """Refuse the next call. More: description, retry_after, times, chat_id. "*" is all but getUpdates."""
        if more.get("retry_after") is not None:
            status = 429
        return self._program(Fault(action="answer", method=method, status=status, **more))

    def hang(self, method: str = "*", seconds: float = 1.0, **more: Any) -> Fault:
        """Carry the next call out but answer late. More: processed, times, chat_id."""
        return self._program(Fault(action="hang", method=method, seconds=seconds, **more))

    def drop_reply(self, method: str = "*", **more: Any) -> Fault:
        """Carry the next call out and close without an answer. More: processed, times, chat_id."""
        return self._program(Fault(action="drop", method=method, **more))

    def cut_reply(self, method: str = "*", **more: Any) -> Fault:
        """Carry the next call out and close in the middle of the answer. More: times, chat_id."""
        return self._program(Fault(action="cut", method=method, **more))

    def refuse_connections(self, seconds: float) -> None:
        """Close the port now, and open it again after a while."""
        if self._loop is None:
            raise RuntimeError("the simulator is not running")
        closed = threading.Event()
        wire = self._wire

        async def refuse() -> None:
            asyncio.get_running_loop().call_soon(closed.set)
            await wire.refuse(seconds)

        asyncio.run_coroutine_threadsafe(refuse(), self._loop)
        closed.wait(START_LIMIT)

    def _program(self, fault: Fault) -> Fault:
        with self.world.bell.changing():
            return self.world.faults.add(fault)

    def clear_faults(self) -> None:
        """Behave again."""
        with self.world.bell.changing():
            self.world.faults.clear()

    def reset(self) -> None:
        """Forget everything."""
        self.world.reset()
