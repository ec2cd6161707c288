"""The HTTP server around a world, and the way it runs from the command line."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress

import uvicorn

from .app import build_app
from .guard import LOOPBACK
from .wire import Wire
from .world import World


class Server(uvicorn.Server):
    """uvicorn, which sends long polls home before it waits for them."""

    def __init__(self, config: uvicorn.Config, world: World) -> None:
        super().__init__(config)
        self.world = world

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once, not when the last poll runs out."""
        self.world.bell.close()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Take the port, on this machine only. OSError says that it is taken."""
    if host not in LOOPBACK:
        raise ValueError(f"the simulator listens on loopback addresses only, not on {host!r}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError:
        taken.close()
        raise
    return taken


def build_server(world: World) -> tuple[Server, Wire]:
    """A server around a world, not started yet."""
    wire = Wire()
    config = uvicorn.Config(
        build_app(world, wire),
        http=wire.protocol(),
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        # A bot keeps its connection between progress edits.
        timeout_keep_alive=75,
    )
    wire.server = Server(config, world)
    return wire.server, wire


def run_forever(world: World, host: str, port: int) -> None:
    """Serve in this thread until Ctrl-C or SIGTERM; both are a good end."""
    taken = listen(host, port)
    server, _ = build_server(world)
    # uvicorn stops gently and then passes the signal on to the handler it found.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[taken])
