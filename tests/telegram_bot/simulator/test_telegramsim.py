"""`manage.py telegramsim` starts only where it is safe, and serves until stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

ROOT = Path(__file__).parents[3]


@pytest.fixture
def _debug(settings: LazySettings) -> None:
    settings.DEBUG = True


def test_it_does_not_start_while_debug_is_off(settings: LazySettings) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG is off"):
        call_command("telegramsim")


@pytest.mark.usefixtures("_debug")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.10", "example.org", ""])
def test_it_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(CommandError, match="this machine only"):
        call_command("telegramsim", host=host)


@pytest.mark.usefixtures("_debug")
def test_it_says_so_when_the_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} cannot be used"):
            call_command("telegramsim", port=port)


@pytest.mark.usefixtures("_debug")
def test_it_refuses_a_token_of_the_wrong_shape() -> None:
    with pytest.raises(CommandError, match="must look like"):
        call_command("telegramsim", token="no colon")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(stop: signal.Signals) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "error", "manage.py", "telegramsim", "--port", str(port)]
    environment = os.environ | {"DEBUG": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        me = _wait_for(f"http://127.0.0.1:{port}/bot1000001:SIMULATOR/getMe")
        assert me.json()["result"]["is_bot"]
        assert _wait_for(f"http://127.0.0.1:{port}/bot2000002:OTHER/getMe").status_code == 401
        chats = _wait_for(f"http://127.0.0.1:{port}/control/state").json()["chats"]
        assert [chat["first_name"] for chat in chats] == ["You"]
    finally:
        process.send_signal(stop)
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert output.splitlines() == [f"Chat page: http://127.0.0.1:{port}/  (Bot API below it; Ctrl-C stops)"]


def _wait_for(url: str) -> httpx.Response:
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx.get(url, trust_env=False)
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_package_needs_no_django_and_no_torch() -> None:
    code = "import sys, telegram_bot.simulator; assert not {'django', 'torch', 'telegram'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
