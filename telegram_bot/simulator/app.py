"""Puts the Bot API, the control interface and the chat page into one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware

from . import webhook
from .botapi import BotApi
from .control import Control
from .guard import Guard
from .page import routes as page_routes
from .wire import Wire
from .world import World


def build_app(world: World, wire: Wire) -> Starlette:
    """Everything that is served."""

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        posting = webhook.task(world)
        yield
        posting.cancel()

    routes = [*BotApi(world, wire).routes(), *Control(world, wire).routes(), *page_routes()]
    return Starlette(routes=routes, middleware=[Middleware(Guard)], lifespan=running)
