"""Only one process fetches a bot's updates."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from telegram_bot import lease
from telegram_bot.models import PollingLease

pytestmark = [pytest.mark.services, pytest.mark.django_db]

HERE = lease.own_name()
ELSEWHERE = "bot elsewhere:1"


def test_the_second_process_learns_who_was_first() -> None:
    assert lease.take("7", HERE) == ""
    assert lease.take("7", ELSEWHERE) == HERE
    assert lease.take("8", ELSEWHERE) == ""
    assert lease.take("7", HERE) == ""


def test_a_lapsed_lease_is_free_and_its_old_owner_notices() -> None:
    lease.take("7", HERE)
    PollingLease.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert lease.take("7", ELSEWHERE) == ""
    assert lease.renew("7", HERE) is False
    assert lease.renew("7", ELSEWHERE) is True


def test_a_killed_process_of_this_machine_holds_up_nobody() -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = f"bot {socket.gethostname()}:{int(child.stdout)}"
    lease.take("7", dead)
    assert lease.take("7", HERE) == ""


def test_a_living_process_of_this_machine_keeps_it() -> None:
    alive = f"bot {socket.gethostname()}:{os.getppid()}"
    lease.take("7", alive)
    assert lease.take("7", HERE) == alive


def test_released_it_is_free_at_once() -> None:
    lease.take("7", HERE)
    lease.release("7", HERE)
    assert lease.take("7", ELSEWHERE) == ""
