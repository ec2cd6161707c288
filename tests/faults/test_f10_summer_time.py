"""F10, continued: summer time begins or ends while videos are made and wait, at night and at midnight itself."""

from __future__ import annotations

import re
import struct
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from telegram_bot.simulator import Simulator
from tests.faults.conftest import StartSystem, is_still_serving, settle
from tests.faults.system import FULL_LENGTH, System

# A zone that every machine knows by name; what it says is ours.
ZONE = "Europe/Berlin"
HOUR = 3600
DAILY_LIMIT = 2
# The change comes so soon. On a machine that needs more than half of that to start it is tried again with more.
SECONDS_AHEAD = 16
PARTS = ("queue", "worker", "bot")


@dataclass(frozen=True)
class Change:
    """At this time of day by the old clock, the clock goes forward by so many seconds."""

    at: float
    by: int


CHANGES = {
    "forward": Change(2 * HOUR, HOUR),
    "back": Change(3 * HOUR, -HOUR),
    "no midnight": Change(24 * HOUR, HOUR),
    "two midnights": Change(24 * HOUR, -HOUR),
}
SHORT_FORM = ("back", "no midnight")


def zone_file(moment: int, before: int, after: int) -> bytes:
    """RFC 8536: one change at a Unix time, between two offsets from UTC in seconds."""
    head = b"TZif2" + bytes(15)
    types = struct.pack(">lBB", before, 0, 0) + struct.pack(">lBB", after, 1, 4)
    old_part = head + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lBB", before, 0, 0) + b"OLD\0"
    new_part = head + struct.pack(">6l", 0, 0, 0, 1, 2, 8) + struct.pack(">qB", moment, 1) + types + b"OLD\0NEW\0"
    return old_part + new_part + b"\n\n"


def write_zone(folder: Path, change: Change, moment: int) -> timedelta:
    """A zone whose clock changes at this moment. Returns its offset from UTC afterwards."""
    # The local time of day at that moment is wanted; the offset follows, to the nearest of the two days it may be.
    before = int(change.at - moment % (24 * HOUR))
    before -= 24 * HOUR * round(before / (24 * HOUR))
    (folder / ZONE).parent.mkdir(parents=True, exist_ok=True)
    (folder / ZONE).write_bytes(zone_file(moment, before, before + change.by))
    return timedelta(seconds=before + change.by)


def start_before_the_change(system: System, zones: Path, change: Change) -> tuple[int, timedelta]:
    """When it comes, and the offset afterwards."""
    ahead = SECONDS_AHEAD
    while True:
        moment = int(time.time()) + ahead
        offset = write_zone(zones, change, moment)
        system.start(*PARTS)
        if time.time() < moment - ahead / 2:
            return moment, offset
        for name in PARTS:
            system.kill(name)
        ahead *= 2


def next_midnight(offset: timedelta) -> float:
    """As a Unix time, after the change."""
    local = datetime.now(UTC) + offset
    return (local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - offset).timestamp()


@pytest.mark.parametrize("name", CHANGES if FULL_LENGTH else SHORT_FORM)
def test_a_change_of_the_clock_moves_no_video_and_no_limit(
    telegram: Simulator, new_system: StartSystem, tmp_path: Path, name: str
) -> None:
    system = new_system(environment={"TZ": ZONE, "PYTHONTZPATH": str(tmp_path), "TZDIR": str(tmp_path)})
    policy = f"Policy.objects.update_or_create(pk=1, defaults={{'daily_limit': {DAILY_LIMIT}}})"
    system.manage("shell", "-c", f"from generations.models import Policy; {policy}")
    moment, offset = start_before_the_change(system, tmp_path, CHANGES[name])

    # One is rendered across the change, the others wait across it.
    telegram.say(1, f"cat 0 !seconds={moment - time.time() + 2:.0f}")
    for number in range(1, DAILY_LIMIT):
        telegram.say(1, f"cat {number}")
    telegram.say(2, "dog")
    system.wait_for(lambda: len(system.rows()) == DAILY_LIMIT + 1 and system.journal.read(), "all are accepted")
    assert time.time() < moment, "this machine is too busy to say when anything happens"
    account = settle(system)
    assert (account.accepted, account.videos) == (DAILY_LIMIT + 1, DAILY_LIMIT + 1)
    rows = system.rows()
    assert [(row["attempt"], row["worker_deaths"]) for row in rows] == [(1, 0)] * len(rows)
    assert all(0 < row["render_seconds"] < HOUR / 2 for row in rows)
    assert len([entry for entry in system.journal.read() if entry["event"] == "begin"]) == len(rows)
    assert system.rings() == 0, "nothing was rung for twice"

    telegram.say(1, "one more cat")
    system.wait_for(lambda: len(telegram.bot_messages(1)) > DAILY_LIMIT, "an answer")
    if name == "no midnight":
        # A new day has begun, although its midnight has not been.
        system.wait_for(lambda: len(system.rows()) == len(rows) + 1, "it is accepted")
    else:
        answer = telegram.bot_messages(1)[-1].text
        said = re.search(r"resets at (\d\d:\d\d) \(NEW\), in (?:(\d+) h )?(\d+) min", answer)
        assert said is not None, answer
        minutes = int(said[2] or 0) * 60 + int(said[3])
        assert said[1] == "00:00"
        assert abs(minutes - (next_midnight(offset) - time.time()) / 60) <= 1
        assert len(system.rows()) == len(rows)
    settle(system)
    is_still_serving(system)
