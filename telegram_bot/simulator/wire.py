"""The connections below HTTP: closing one in the middle of an answer, and refusing new ones for a while."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

Address = tuple[str, int]


class Wire:
    """Knows the transport behind each request."""

    def __init__(self) -> None:
        self.transports: dict[Address, asyncio.Transport] = {}
        self.server: uvicorn.Server | None = None

    def protocol(self) -> type[H11Protocol]:
        """uvicorn's HTTP protocol, with an eye on its connections."""
        transports = self.transports

        class TrackedProtocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    transports.pop(self.client, None)
                super().connection_lost(exc)

        return TrackedProtocol

    def hang_up(self, client: Address) -> None:
        """Close without another byte."""
        transport = self.transports.get(client)
        if transport is not None:
            transport.abort()

    async def refuse(self, seconds: float) -> None:
        """Stop listening and drop everybody, then listen again on the same port."""
        server = self.server
        if server is None:
            return
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        for listener in server.servers:
            listener.close()
        for client in list(self.transports):
            self.hang_up(client)
        await asyncio.sleep(seconds)
        if server.should_exit:
            return
        protocol = self.protocol()

        def connect() -> asyncio.Protocol:
            return protocol(config=server.config, server_state=server.server_state, app_state=server.lifespan.state)

        server.servers = [await asyncio.get_running_loop().create_server(connect, host, port)]


class HangUp:
    """An answer that never comes, or stops half-way."""

    def __init__(self, wire: Wire, partial: bytes = b"", length: int = 0) -> None:
        self.wire = wire
        self.partial = partial
        self.length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is to send, then close."""
        if self.partial:
            headers: list[tuple[bytes, bytes]] = [
                (b"content-type", b"application/json"),
                (b"content-length", str(self.length).encode()),
            ]
            start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": headers}
            await send(start)
            await send({"type": "http.response.body", "body": self.partial, "more_body": True})
            # The bytes must be out before the connection goes.
            await asyncio.sleep(0.05)
        self.wire.hang_up(tuple(scope["client"]))
        while (await receive())["type"] != "http.disconnect":
            pass
