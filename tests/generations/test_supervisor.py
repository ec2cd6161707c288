"""Programs that die are started again, and nothing is left running when the supervisor ends, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from generations import supervisor as module
from generations.supervisor import REFUSED_TO_START, Program, Supervisor
from tests.generations.conftest import wait_until

FOREVER = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {FOREVER}"


@pytest.fixture
def said() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def supervisor(said: list[tuple[str, str]]) -> Iterator[Supervisor]:
    supervisor = Supervisor(lambda name, line: said.append((name, line)))
    yield supervisor
    supervisor.stop()


def program(code: str, name: str = "child", **options: object) -> Program:
    return Program(name, [sys.executable, "-uc", code], os.environ, **options)  # type: ignore[arg-type]


def run(supervisor: Supervisor, seconds: float = 10, until: object = lambda: False) -> None:
    deadline = time.monotonic() + seconds
    supervisor.run(until=lambda: until() or time.monotonic() > deadline)  # type: ignore[operator]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_every_line_is_shown_with_its_speaker(supervisor: Supervisor, said: list[tuple[str, str]]) -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.stdout.write('no end of line \\u2014 é')"
    child = program(code, restart=False)
    supervisor.start(child)
    run(supervisor, until=lambda: child.exit_code is not None)
    assert said == [("child", "one"), ("child", "two"), ("child", "no end of line \u2014 é")]


def test_what_dies_is_started_again_after_a_growing_pause(
    supervisor: Supervisor, said: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = program("import sys; sys.exit(3)")
    supervisor.start(child)
    run(supervisor, until=lambda: child.deaths == 2)
    assert said == [
        ("", "child ended (exit code 3); starting it again in 1 s"),
        ("", "child ended (exit code 3); starting it again in 2 s"),
    ]
    child.deaths = 20
    child.start_again_at = 0
    run(supervisor, until=lambda: child.deaths == 21)
    assert said[-1][1].endswith("in 30 s"), "never longer"


def test_a_program_that_is_killed_comes_back(supervisor: Supervisor, said: list[tuple[str, str]]) -> None:
    child = program(FOREVER)
    supervisor.start(child)
    first = child.process
    assert first is not None
    first.kill()
    run(supervisor, until=lambda: child.process not in (None, first))
    assert said == [("", "child ended (SIGKILL); starting it again in 1 s")]


def test_a_worker_that_refused_to_start_is_not_restarted_in_a_hot_loop(
    supervisor: Supervisor, said: list[tuple[str, str]]
) -> None:
    child = program(f"import sys; print('a.pth: truncated'); sys.exit({REFUSED_TO_START})")
    supervisor.start(child)
    run(supervisor, until=lambda: child.deaths)
    assert said == [
        ("child", "a.pth: truncated"),
        ("", "child refused to start, see above; starting it again in 60 s"),
    ]


def test_a_program_is_ready_when_it_says_so(supervisor: Supervisor) -> None:
    child = program(f"import time; time.sleep(.3); print('Listening on gpu'); {FOREVER}")
    child.ready = lambda program: program.has_said("Listening on")
    supervisor.start(child)
    assert not child.is_ready
    run(supervisor, until=lambda: child.is_ready)
    assert child.is_ready


def test_what_does_not_want_to_end_is_killed_with_all_it_started(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, said: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.5)
    grandchild = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {FOREVER!r}]); print(p.pid)"
    child = program(f"{grandchild}\n{STUBBORN}")
    supervisor.start(child)
    run(supervisor, until=lambda: child.has_said("up"))
    pids = [child.process.pid, int(child.lines[0])] if child.process else []
    supervisor.stop()
    wait_until(lambda: not any(is_running(pid) for pid in pids), 5)
    assert ("", "child did not stop in time and is killed") in said


def test_the_queue_ends_after_everything_that_needs_it(supervisor: Supervisor, said: list[tuple[str, str]]) -> None:
    slow = (
        "import signal, sys, time\n"
        "def end(*_): time.sleep(.5); print('ended'); sys.exit()\n"
        f"signal.signal(signal.SIGTERM, end); print('up'); {FOREVER}"
    )
    quick = slow.replace("time.sleep(.5);", "")
    children = [program(quick, "queue", last=True), program(slow, "worker")]
    for child in children:
        supervisor.start(child)
    run(supervisor, until=lambda: all(child.has_said("up") for child in children))
    supervisor.stop()
    assert said[-2:] == [("worker", "ended"), ("queue", "ended")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's")
def test_even_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    code = f"""
import os, sys
from generations.supervisor import Program, Supervisor
supervisor = Supervisor(lambda name, line: None)
child = Program("child", [sys.executable, "-c", {FOREVER!r}], os.environ)
supervisor.start(child)
print(child.process.pid, flush=True)
supervisor.run()
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=settings.BASE_DIR, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_running(child), 5)
