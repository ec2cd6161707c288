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


def test_a_dead_processs_lease_ends_soon_although_the_clock_was_set_back_since() -> None:
    lease.take("7", ELSEWHERE)
    PollingLease.objects.update(lease_until=timezone.now() + timedelta(hours=2))
    assert lease.take("7", HERE) == ELSEWHERE
    assert PollingLease.objects.get().lease_until < timezone.now() + timedelta(seconds=16)


# --- what /healthz is told


def since(**ago: float) -> None:
    """As if the last sign of life had come so long ago."""
    PollingLease.objects.update(lease_until=timezone.now() + lease.LEASE - timedelta(**ago))


def test_before_the_first_start_no_bot_runs() -> None:
    assert lease.problem() == "not_running"


def test_a_bot_that_falls_silent_gets_some_seconds_for_a_restart() -> None:
    lease.take("7", HERE)
    assert lease.problem() == ""
    since(seconds=40)
    assert lease.problem() == ""
    since(seconds=50)
    assert lease.problem() == "not_running"


def test_a_stopped_bot_gets_the_same() -> None:
    lease.take("7", HERE)
    lease.release("7", HERE)
    assert lease.problem() == ""
    since(seconds=50)
    assert lease.problem() == "not_running"


def test_a_refused_token_stays_red_until_a_bot_is_accepted() -> None:
    lease.take("7", HERE)
    lease.release("7", HERE, lease.TOKEN_REFUSED)
    assert lease.problem() == "token_refused"
    since(days=1)
    assert lease.problem() == "token_refused"
    # Restarted, it says so again only after it has asked.
    lease.take("7", HERE)
    lease.renew("7", HERE)
    assert lease.problem() == "token_refused"
    lease.renew("7", HERE, "")
    assert lease.problem() == ""


def test_another_bot_makes_up_for_one_whose_token_is_gone() -> None:
    lease.take("7", HERE)
    lease.release("7", HERE, lease.TOKEN_REFUSED)
    lease.take("8", HERE)
    assert lease.problem() == ""


def test_only_trouble_that_lasts_is_told() -> None:
    lease.take("7", HERE)
    lease.renew("7", HERE, "conflict")
    assert lease.problem() == ""
    PollingLease.objects.update(problem_since=timezone.now() - timedelta(seconds=61))
    lease.renew("7", HERE, "conflict")
    assert lease.problem() == "conflict"
    lease.renew("7", HERE, "telegram_unreachable")
    assert lease.problem() == "", "that has just begun"


def test_a_lease_of_another_time_is_no_sign_of_life() -> None:
    lease.take("7", HERE)
    since(hours=-2)
    assert lease.problem() == "not_running"
