"""Keeps the leases of rows alive while the main thread computes, and ends the process when it hangs."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from generations.models import Generation

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# A twelfth of the lease: one slow or lost renewal costs nothing.
BEAT = 5.0
# The supervisor restarts the process; the row's lease lapses and the sweep counts a worker death.
HUNG = 70
# C code that hangs with the interpreter locked stops every thread, the one that watches too. Python's own timer in C
# ends the process then, so much later than the thread would have.
LOCKED = 60
STDERR = 2


class LeaseKeeper(threading.Thread):
    """A thread, because a step may keep the main thread busy for longer than the lease lasts.

    A thread alone would keep a hung render alive for ever, so it also watches for signs of life.
    """

    def __init__(self, rows: Sequence[Generation], owner: str, *, beat: float = BEAT) -> None:
        """rows: what is rendered together. Each has a lease of its own; lost holds the keys of those that are gone."""
        self.title = ", ".join(f"#{row.pk}" for row in rows)
        super().__init__(name=f"lease of {self.title}", daemon=True)
        self.rows = rows
        self.owner = owner
        self.beat = beat
        self.lost: set[int] = set()
        self._over = threading.Event()
        self._last_sign = time.monotonic()

    def __enter__(self) -> LeaseKeeper:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(timeout=2 * self.beat)

    def alive(self) -> None:
        """The main thread shows that it moves."""
        self._last_sign = time.monotonic()

    def run(self) -> None:
        try:
            self._set_alarm()
            while not self._over.wait(self.beat):
                self._set_alarm()
                if time.monotonic() - self._last_sign > settings.STEP_TIMEOUT_SECONDS:
                    end_hung_process(f"{self.title}: has not moved for {settings.STEP_TIMEOUT_SECONDS} s")
                for row in self.rows:
                    self._renew(row)
        finally:
            faulthandler.cancel_dump_traceback_later()
            connection.close()

    @staticmethod
    def _set_alarm() -> None:
        faulthandler.dump_traceback_later(settings.STEP_TIMEOUT_SECONDS + LOCKED, exit=True, file=STDERR)

    def _renew(self, row: Generation) -> None:
        try:
            if not row.renew_lease(self.owner):
                self.lost.add(row.pk)
        except DatabaseError as error:
            # The render goes on: the lease outlives a short outage, and every later write checks it anyway.
            logger.warning("Could not renew the lease of #%s: %s", row.pk, type(error).__name__)
            close_old_connections()


def end_hung_process(reason: str) -> None:
    """Nothing gentler stops a call that does not come back: a hung kernel ignores signals and exceptions."""
    logger.critical("%s: ending this process", reason)
    faulthandler.dump_traceback(sys.stderr, all_threads=True)
    os._exit(HUNG)


def patiently(ask: Callable[[], Answer], *, seconds: float = 300, pause: float = 1.0) -> Answer:
    """Ask the database until it answers: a finished video must not be thrown away for a dropped connection."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except DatabaseError as error:
            if connection.in_atomic_block or time.monotonic() > deadline:
                raise
            logger.warning("The database does not answer (%s); trying again", type(error).__name__)
            close_old_connections()
            time.sleep(pause)
