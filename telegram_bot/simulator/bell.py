"""Wakes whoever waits for a change: test threads and the server's coroutines alike."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Bell:
    """One lock over the whole state, and a ring after every change to it."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._sleepers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.closed = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the state still while looking at it."""
        with self._condition:
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the state while changing it, then wake everybody, also when the change was refused half-way."""
        with self._condition:
            try:
                yield
            finally:
                self._ring()

    def close(self) -> None:
        """Send all waiters home: the server is stopping."""
        self.closed = True
        with self.changing():
            pass

    def wait_for(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Block this thread until `ready()`; False when the time is up."""
        with self._condition:
            return self._condition.wait_for(lambda: ready() or self.closed, timeout) and ready()

    async def until(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Suspend this coroutine until `ready()`; False when the time is up or the server stops."""
        rung = asyncio.Event()
        sleeper = (asyncio.get_running_loop(), rung)
        deadline = time.monotonic() + timeout
        with self._condition:
            self._sleepers.add(sleeper)
        try:
            while not self.closed:
                rung.clear()
                with self._condition:
                    if ready():
                        return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                try:
                    await asyncio.wait_for(rung.wait(), left)
                except TimeoutError:
                    continue
            return False
        finally:
            with self._condition:
                self._sleepers.discard(sleeper)

    def _ring(self) -> None:
        self._condition.notify_all()
        for loop, rung in self._sleepers:
            # A loop that was closed meanwhile has nobody left to wake.
            if not loop.is_closed():
                loop.call_soon_threadsafe(rung.set)
