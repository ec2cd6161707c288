"""`manage.py up`: everything at once, or one line that says what stands in the way."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from generations.machine import bot_command, free_port, only_one_here
from tests.engine.checkpoint import write_checkpoint
from tests.generations.conftest import wait_until


@pytest.fixture
def stand_in(settings: Any) -> None:
    settings.BOT_TOKEN, settings.DEBUG = "", True


def test_without_a_token_and_without_debug_one_line_says_what_to_set(settings: Any) -> None:
    settings.BOT_TOKEN, settings.DEBUG = "", False
    with pytest.raises(CommandError, match=r"^Set BOT_TOKEN, or DEBUG=1 to try it with the stand-in\.$"):
        call_command("up")


@pytest.mark.parametrize("option", ["--port", "--sim-port"])
def test_a_port_in_use_is_named_with_the_option_that_changes_it(option: str, stand_in: None) -> None:
    ports = {"--port": free_port(), "--sim-port": free_port()}
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports[option]))
        other.listen()
        with pytest.raises(CommandError, match=f"^Port {ports[option]} cannot be used: .* with {option}"):
            call_command("up", *(f"{name}={port}" for name, port in ports.items()))


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_a_number_that_is_no_port_is_refused(port: int, stand_in: None) -> None:
    with pytest.raises(CommandError, match="--port must be a number from 1 to 65535"):
        call_command("up", f"--port={port}")


def test_a_second_one_on_the_same_data_says_so(stand_in: None) -> None:
    with only_one_here(), pytest.raises(CommandError, match="running already on"):
        call_command("up")


def test_the_bot_polls_unless_telegram_was_given_an_address(settings: Any) -> None:
    settings.WEBHOOK_URL = ""
    assert bot_command(stand_in=False)[2:] == ["runbot"]
    settings.WEBHOOK_URL = "https://videos.example.org/telegram/webhook/"
    assert bot_command(stand_in=False)[2:] == ["runbot", "--webhook"]
    assert bot_command(stand_in=True)[2:] == ["runbot"]


@pytest.fixture
def home() -> Iterator[Path]:
    """In /tmp: the kernel allows 107 characters for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="t2v-up-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def environment(home: Path, model: Path) -> dict[str, str]:
    without = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return {**kept, "DATA_DIR": str(home), "DEBUG": "1", "MODEL": str(model)}


def processes_of(home: Path) -> list[str]:
    """Command lines of all processes that were started with this DATA_DIR."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            # Valkey writes its title over its environment, and the title names its socket.
            if str(home).encode() in line or f"DATA_DIR={home}".encode() in (process / "environ").read_bytes():
                found.append(line.replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_the_demo_sends_one_prompt_through_everything_and_leaves_nothing_running(
    home: Path, model_folder: Path
) -> None:
    command = [sys.executable, "manage.py", "up", "--demo", "a red circle moving right"]
    # A token in the shell must not lead a demo to the real Telegram.
    hostile = {
        **environment(home, model_folder),
        "BOT_TOKEN": "123456789:" + "A" * 35,
        "REDIS_URL": "redis://nowhere.invalid:1/0",
    }
    result = subprocess.run(
        command, cwd=django_settings.BASE_DIR, env=hostile, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "you > /start"
    assert "you > a red circle moving right" in lines
    assert any(line.startswith(("bot > Queued", "bot > Rendering")) for line in lines)
    assert lines[-2].startswith("bot > [video ")
    with av.open(lines[-1]) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert processes_of(home) == []


@pytest.mark.slow
def test_ctrl_c_ends_everything_and_no_secret_is_on_a_command_line(home: Path, model_folder: Path) -> None:
    log = home / "up.log"
    ports = (f"--port={free_port()}", f"--sim-port={free_port()}")
    with log.open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "manage.py", "up", *ports],
            cwd=django_settings.BASE_DIR,
            env=environment(home, model_folder),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "Everything is running" in log.read_text(), 200)
        running = processes_of(home)
        for name in ("valkey-server", "gunicorn", "rqworker gpu", "runbot", "telegramsim"):
            assert any(name in line for line in running), name
        assert not any("SIMULATOR" in line for line in running)
        up.send_signal(signal.SIGINT)
        assert up.wait(20) == 0
    finally:
        up.kill()
        up.wait()
    assert processes_of(home) == []
    said = log.read_text()
    assert re.search(r"Chat page: +http://127\.0\.0\.1:\d+/", said)
    assert re.search(r"Admin: +http://127\.0\.0\.1:\d+/admin/", said)
    assert "createsuperuser" in said
    assert re.search(r"^worker \| .*model loaded", said, re.MULTILINE)
    assert "\033[" not in said, "no colours in a file"
