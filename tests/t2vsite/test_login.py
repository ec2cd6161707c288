"""The login page, with passwords that are wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import F
from django.test import Client

pytestmark = [pytest.mark.services, pytest.mark.django_db]

RIGHT, WRONG = "a long password", "a wrong password"


@pytest.fixture(autouse=True)
def _olga(db: None, settings: LazySettings) -> None:
    # The real hashers take half a second for each try.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for name in ("olga", "paula"):
        User.objects.create_superuser(name, password=RIGHT)


def log_in(password: str, name: str = "olga", **headers: str) -> Any:
    return Client(headers=headers).post("/admin/login/?next=/admin/", {"username": name, "password": password})


def test_ten_wrong_passwords_lock_the_name_until_the_time_is_over() -> None:
    for number in range(9):
        assert log_in(WRONG).status_code == 200, number
    locked = log_in(WRONG)
    assert locked.status_code == 429
    assert "Too many wrong passwords" in locked.content.decode()
    assert log_in(RIGHT).status_code == 429, "else a guess that is right would be told"
    assert log_in(RIGHT, "paula").status_code == 302

    # What is tried meanwhile does not make it longer.
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=14))
    assert log_in(RIGHT).status_code == 429
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=2))
    assert log_in(RIGHT).status_code == 302


@pytest.fixture
def three_tries(settings: LazySettings) -> None:
    settings.AXES_FAILURE_LIMIT = 3


@pytest.mark.usefixtures("three_tries")
def test_behind_a_proxy_another_address_in_a_header_is_no_way_round() -> None:
    answers = [log_in(WRONG, x_forwarded_for=f"10.0.0.{number}", user_agent=f"b{number}") for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


@pytest.mark.usefixtures("three_tries")
def test_wrong_passwords_before_a_right_one_are_forgotten() -> None:
    for _ in range(3):
        for _ in range(2):
            log_in(WRONG)
        assert log_in(RIGHT).status_code == 302


@pytest.mark.usefixtures("three_tries")
def test_a_name_that_nobody_has_is_locked_alike() -> None:
    assert [log_in(WRONG, "nobody").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.usefixtures("three_tries")
def test_the_host_can_end_it_and_no_password_is_kept() -> None:
    for _ in range(3):
        log_in(WRONG)
    assert WRONG not in str(list(AccessAttempt.objects.values()))
    call_command("axes_reset_username", "olga")
    assert log_in(RIGHT).status_code == 302
