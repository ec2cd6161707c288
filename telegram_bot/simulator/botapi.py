"""The Bot API's two addresses: /bot<token>/<method> and /file/bot<token>/<path>."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from .errors import ApiError, Json
from .faults import Fault
from .methods import perform
from .params import Params, read_params
from .polling import get_updates
from .ranged import file_response
from .record import Call
from .wire import HangUp, Wire
from .world import World

log = logging.getLogger(__name__)
WELL_FORMED = re.compile(r"\d{1,20}:[A-Za-z0-9_-]+")


def json_response(body: Json, status: int) -> Response:
    """ASCII only: a lone half of an emoji must survive the way to the bot."""
    headers = {}
    if "retry_after" in body.get("parameters", {}):
        headers["retry-after"] = str(body["parameters"]["retry_after"])
    return Response(json.dumps(body), status, headers, "application/json")


def _check_token(world: World, token: str) -> None:
    if not WELL_FORMED.fullmatch(token):
        raise ApiError(404, "Not Found")
    if token != world.token:
        raise ApiError(401, "Unauthorized")


class BotApi:
    """Answers bots, as well or as badly as the faults say."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.world = world
        self.wire = wire

    def routes(self) -> list[Route]:
        """Where bots call."""
        return [
            Route("/bot{token}/{method}", self.call, methods=["GET", "POST"]),
            Route("/file/bot{token}/{path:path}", self.download, methods=["GET"]),
        ]

    async def download(self, request: Request) -> Response:
        """A file by the path that getFile gave."""
        try:
            _check_token(self.world, request.path_params["token"])
        except ApiError as error:
            return json_response(error.answer(), error.code)
        with self.world.bell.reading():
            file = self.world.files.by_path(request.path_params["path"])
        if file is None:
            return json_response(ApiError(404, "Not Found").answer(), 404)
        return file_response(request, file)

    async def call(self, request: Request) -> Response | ASGIApp:
        """One method, from the token to the recorded answer."""
        name = request.path_params["method"]
        try:
            _check_token(self.world, request.path_params["token"])
            params = await read_params(request)
        except ApiError as error:
            self._note_refused(name, error)
            return json_response(error.answer(), error.code)
        chat_id = params.values.get("chat_id")
        with self.world.bell.changing():
            call = self.world.record.begin(name, _number(chat_id), params.record())
            fault = self.world.faults.take(name, chat_id)
        return await self._answer(call, params, fault)

    def _note_refused(self, name: str, error: ApiError) -> None:
        with self.world.bell.changing():
            call = self.world.record.begin(name, None, {})
            call.status, call.response, call.reply = error.code, error.answer(), "sent"

    async def _answer(self, call: Call, params: Params, fault: Fault | None) -> Response | ASGIApp:
        if fault is None:
            return self._reply(call, *await self._perform(call.method, params))
        if fault.action == "answer":
            error = fault.error()
            return self._reply(call, error.answer(), error.code)
        if not fault.processed:
            await asyncio.sleep(fault.seconds)
            return self._lose(call, None, 0, b"")
        body, status = await self._perform(call.method, params)
        if fault.action == "hang":
            self._note(call, body, status, "pending")
            await self.world.bell.until(lambda: False, fault.seconds)
            return self._reply(call, body, status)
        return self._lose(call, body, status, json.dumps(body).encode() if fault.action == "cut" else b"")

    async def _perform(self, method: str, params: Params) -> tuple[Json, int]:
        try:
            if method.lower() == "getupdates":
                result: Any = await get_updates(self.world, params)
            else:
                result = perform(self.world, method, params)
        except ApiError as error:
            return error.answer(), error.code
        except Exception as error:
            # A fault of the stand-in's own. The bot must get an answer it can read, and the log the reason.
            log.exception("the simulator failed at %s", method)
            return ApiError(500, f"Internal Server Error: {type(error).__name__}").answer(), 500
        return {"ok": True, "result": result}, 200

    def _note(self, call: Call, body: Json | None, status: int, reply: str) -> None:
        with self.world.bell.changing():
            call.response, call.status, call.reply = body, status, reply

    def _reply(self, call: Call, body: Json, status: int) -> Response:
        self._note(call, body, status, "sent")
        return json_response(body, status)

    def _lose(self, call: Call, body: Json | None, status: int, whole: bytes) -> HangUp:
        self._note(call, body, status, "cut" if whole else "dropped")
        return HangUp(self.wire, whole[: len(whole) // 2], len(whole))


def _number(chat_id: Any) -> int | str | None:
    """A chat as its number, where it is one."""
    try:
        return int(chat_id)
    except (TypeError, ValueError):
        return None if chat_id is None else str(chat_id)
