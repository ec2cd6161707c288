"""`python -m tests.faults.launcher rqworker gpu`: manage.py, with another engine, shorter leases and a movable clock.

Everything is put in place from outside before the command starts, so the product needs no hook for its tests.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import django
from django.core.management import execute_from_command_line

from tests.faults.engine import CARD, StandInEngine, die, orders


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "t2vsite.settings"
    wishes: dict[str, Any] = json.loads(os.environ["FAULTS"])
    django.setup()
    for name, value in wishes["constants"].items():
        set_constant(name, value)
    if wishes["movable_clock"]:
        move_clock(Path(wishes["folder"]) / f"clock.{wishes['name']}")
    if wishes["engine"] == "stand-in":
        use_card()
        if sys.argv[1] == "rqworker":
            use_engine(Path(wishes["folder"]))
    execute_from_command_line(["manage.py", *sys.argv[1:]])


def set_constant(name: str, value: float) -> None:
    """A number of a module, a class or the settings, by its dotted name. A timedelta is given in seconds."""
    path, _, attribute = name.rpartition(".")
    owner = importlib.import_module(path) if path != "settings" else importlib.import_module("django.conf").settings
    old = getattr(owner, attribute)
    new = timedelta(seconds=value) if isinstance(old, timedelta) else value
    setattr(owner, attribute, new)
    if name == "generations.lease.BEAT":
        # The default of an argument is taken when the module is read.
        owner.LeaseKeeper.__init__.__kwdefaults__["beat"] = new


def use_card() -> None:
    """Web and bot validate against the card of the same engine."""
    from generations import services

    services.read_card = lambda model, turbo=False: CARD  # type: ignore[assignment]


def use_engine(folder: Path) -> None:
    from generations import rendering

    rendering.load_engine = lambda *_: StandInEngine(folder)  # type: ignore[assignment]
    record = rendering._record

    @functools.wraps(record)
    def record_or_die(row: Any, *args: Any) -> None:
        wanted = orders(row.prompt)
        if "die-before-row" in wanted and row.attempt == 1:
            die()
        record(row, *args)
        if "die-after-row" in wanted:
            die()

    rendering._record = record_or_die


def move_clock(offset_file: Path) -> None:
    """This process's wall clock differs from the machine's by the number of seconds in the file, if there is one."""
    from django.db.models.functions import Now
    from django.utils import timezone
    from rq import utils

    def offset() -> float:
        return float(offset_file.read_text()) if offset_file.exists() else 0.0

    real_time: Callable[[], float] = time.time
    time.time = lambda: real_time() + offset()
    timezone.now = lambda: datetime.now(tz=UTC) + timedelta(seconds=offset())

    def shifted(tz: tzinfo = UTC) -> datetime:
        return datetime.now(tz=tz) + timedelta(seconds=offset())

    real_rq = utils.now
    for name, module in list(sys.modules.items()):
        if name.startswith("rq.") and getattr(module, "now", None) is real_rq:
            module.now = shifted  # type: ignore[attr-defined]

    def as_sqlite(self: Any, compiler: Any, connection: Any, **context: Any) -> Any:
        # SQLite reads the clock of this machine; PostgreSQL has one of its own.
        template = f"STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW', '{offset():+f} seconds')"
        return self.as_sql(compiler, connection, template=template, **context)

    Now.as_sqlite = as_sqlite  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
