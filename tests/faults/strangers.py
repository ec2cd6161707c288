"""`python -m tests.faults.strangers PORT SECONDS RATE`: posts to the webhook without its secret. A process of its own,
because one that shares an interpreter with the test would measure the test. Prints what was answered, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter

CONNECTIONS = 50
# Numbers that no real update of a test has.
FIRST_UPDATE = 2_000_000_000


def request(number: int) -> bytes:
    body = json.dumps({"update_id": number, "message": {"text": "a cat", "chat": {"id": 1}, "from": {"id": 1}}})
    head = "POST /telegram/webhook/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Crowd:
    """Keeps to its rate where the server keeps up, and else to what the server can do."""

    def __init__(self, port: int, seconds: float, rate: float) -> None:
        self.port, self.seconds, self.rate = port, seconds, rate
        self.answers: Counter[str] = Counter()
        self.sent = 0
        self.began = time.monotonic()

    async def knock(self) -> None:
        while time.monotonic() - self.began < self.seconds:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                while await self._ask(reader, writer):
                    pass
                writer.close()
            except OSError:
                self.answers["no connection"] += 1
                await asyncio.sleep(0.01)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False when the connection or the time is over."""
        self.sent += 1
        number = self.sent
        await asyncio.sleep(max(0.0, self.began + number / self.rate - time.monotonic()))
        if time.monotonic() - self.began >= self.seconds:
            return False
        writer.write(request(FIRST_UPDATE + number))
        await writer.drain()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            self.answers["closed"] += 1
            return False
        self.answers[head.split()[1].decode()] += 1
        # A refusal has no body.
        return b"connection: close" not in head.lower()

    async def run(self) -> None:
        await asyncio.gather(*(self.knock() for _ in range(CONNECTIONS)))


if __name__ == "__main__":
    crowd = Crowd(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
    asyncio.run(crowd.run())
    print(json.dumps({"answers": crowd.answers, "rate": sum(crowd.answers.values()) / crowd.seconds}))
