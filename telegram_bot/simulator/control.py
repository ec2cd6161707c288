"""The control interface: JSON over HTTP under /control/ for tests, the chat page and other processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from . import people
from .errors import ApiError, Json
from .faults import Fault
from .ranged import file_response
from .wire import Wire
from .world import World

# A comment this often keeps the page's stream alive and notices when the page is gone.
HEARTBEAT = 15.0
Action = Callable[..., Any]


class Control:
    """What tests and the page may do."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.world = world
        self.wire = wire
        self._refusing: set[asyncio.Task[None]] = set()
        # POST /control/<name> calls the function with the fields of the JSON body.
        self.actions: dict[str, Action] = {
            "say": self._person(people.say),
            "send": self._person(people.send),
            "edit": self._person(people.edit),
            "press": self._person(people.press),
            "delete": self._person(people.delete),
            "react": self._person(people.react),
            "block": self._person(people.block),
            "topic": self._person(people.add_topic),
            "set_topic": self._person(people.set_topic),
            "migrate": self._person(people.migrate),
            "inline": self._person(people.ask_inline),
            "promote": self._person(people.promote),
            "allow_inline": self._person(people.allow_inline),
            "user": self.user,
            "chat": self.chat,
            "update": self.update,
            "fault": self.fault,
            "refuse": self.refuse,
            "reset": self.reset,
        }

    def _person(self, function: Callable[..., Any]) -> Action:
        return lambda **fields: function(self.world, **fields)

    def routes(self) -> list[Route]:
        """Where tests and the page call."""
        return [
            Route("/control/state", self.state),
            Route("/control/calls", self.calls),
            Route("/control/messages/{chat_id:str}", self.messages),
            Route("/control/files/{unique_id}", self.file),
            Route("/control/events", self.events),
            Route("/control/fault", self.clear_faults, methods=["DELETE"]),
            Route("/control/{action}", self.act, methods=["POST"]),
        ]

    # changing

    async def act(self, request: Request) -> Response:
        """Carry out one action; wrong fields are answered in words."""
        action = self.actions.get(request.path_params["action"])
        if action is None:
            return JSONResponse({"ok": False, "description": "no such action"}, 404)
        # A form on another site cannot send this content type without asking first.
        if not request.headers.get("content-type", "").startswith("application/json"):
            return JSONResponse({"ok": False, "description": "send application/json"}, 415)
        try:
            fields = json.loads(await request.body() or b"{}")
            result = action(**fields)
        except ApiError as error:
            return JSONResponse(error.answer(), error.code)
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            return JSONResponse({"ok": False, "description": f"{type(error).__name__}: {error}"}, 400)
        return Response(json.dumps({"ok": True, "result": result}), media_type="application/json")

    def user(self, user_id: int, **names: str) -> Json:
        """Make or rename a person."""
        with self.world.bell.changing():
            return self.world.add_user(user_id, **names)

    def chat(self, chat_id: int, type: str = "", title: str = "", is_forum: bool = False) -> Json:
        """Make a chat."""
        with self.world.bell.changing():
            return self.world.add_chat(chat_id, type, title, is_forum).as_json()

    def update(self, update: Json, replayed: bool = True) -> Json:
        """Queue an update exactly as given."""
        with self.world.bell.changing():
            return self.world.updates.inject(update, replayed)

    def fault(self, **fields: Any) -> Json:
        """Program a fault."""
        with self.world.bell.changing():
            return self.world.faults.add(Fault(**fields)).as_json()

    def refuse(self, seconds: float) -> None:
        """Refuse all connections, these included, for a while."""
        task = asyncio.get_running_loop().create_task(self._refuse_soon(seconds))
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)

    async def _refuse_soon(self, seconds: float) -> None:
        # The answer to this very call goes out first.
        await asyncio.sleep(0.05)
        await self.wire.refuse(seconds)

    def reset(self) -> None:
        """Forget everything."""
        self.world.reset()

    async def clear_faults(self, request: Request) -> Response:
        """Behave again."""
        with self.world.bell.changing():
            self.world.faults.clear()
        return JSONResponse({"ok": True, "result": True})

    # reading

    def _json(self, build: Callable[[], Any]) -> Response:
        with self.world.bell.reading():
            return Response(json.dumps(build()), media_type="application/json")

    async def state(self, request: Request) -> Response:
        """Bot, people, chats, what waits, and the number of the newest event."""
        world = self.world
        return self._json(
            lambda: {
                "sequence": world.sequence,
                "bot": world.bot,
                "users": list(world.users.values()),
                "chats": [chat.as_json() for chat in world.chats.values()],
                "pending_updates": len(world.updates.waiting),
                "webhook": world.updates.webhook_info(),
                "faults": [fault.as_json() for fault in world.faults.pending()],
                "commands": list(world.commands.values()),
            }
        )

    async def calls(self, request: Request) -> Response:
        """The record of calls, by method and chat."""
        method, chat_id = request.query_params.get("method"), request.query_params.get("chat_id")
        record = self.world.record
        return self._json(lambda: [call.as_json() for call in record.calls(method, int(chat_id) if chat_id else None)])

    async def messages(self, request: Request) -> Response:
        """All messages of a chat with their history, deleted ones too."""
        try:
            chat = self.world.find_chat(request.path_params["chat_id"])
        except ApiError as error:
            return JSONResponse(error.answer(), 404)
        return self._json(lambda: [message.as_json() for message in chat.messages.values()])

    async def file(self, request: Request) -> Response:
        """A file for the page, in pieces if asked."""
        with self.world.bell.reading():
            file = self.world.files.by_unique_id(request.path_params["unique_id"])
        return file_response(request, file) if file else JSONResponse({"ok": False}, 404)

    async def events(self, request: Request) -> Response:
        """What happens from now on (or after ?since=N), as server-sent events."""
        text = request.headers.get("last-event-id") or request.query_params.get("since") or ""
        since = int(text) if text.isdigit() else self.world.sequence
        headers = {"cache-control": "no-store"}
        return StreamingResponse(self._stream(since), media_type="text/event-stream", headers=headers)

    async def _stream(self, since: int) -> AsyncIterator[str]:
        world = self.world
        yield "retry: 500\n\n"
        while not world.bell.closed:
            await world.bell.until(lambda: world.sequence != since, HEARTBEAT)  # noqa: B023
            with world.bell.reading():
                kept = list(world.events)
                fresh = [(number, event) for number, event in kept if number > since]
                if since > world.sequence or (kept and since < kept[0][0] - 1):
                    # Too much was missed, or this is another run: the page must read everything anew.
                    fresh = [(world.sequence, {"type": "reset"})]
            for number, event in fresh:
                since = number
                yield f"id: {number}\ndata: {json.dumps(event)}\n\n"
            if not fresh:
                yield ": still here\n\n"
