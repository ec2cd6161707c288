"""Nobody gets past a limit, by haste or by numbers, and the refusal says what the matter is."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import InMemoryStorage
from django.db import connection
from django.utils import timezone

from generations import access, afterwards, limits, operating, services
from generations.limits import LimitReached
from generations.models import Generation, Policy, Requester, Status
from generations.services import Person
from tests.generations.conftest import MakeRow, at_once

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]

ANN = Person(user_id=1, display_name="Ann")


def policy(**values: int) -> Policy:
    Policy.current()
    Policy.objects.update(**{"daily_limit": 0, "waiting_limit": 0, "queue_limit": 0, **values})
    return Policy.current()


def submit(number: int, person: Person = ANN) -> Generation:
    return services.submit(person, "a red circle", request_key=f"key {number}")


def test_on_a_full_disk_nothing_is_accepted_until_there_is_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    policy()
    with monkeypatch.context() as patch:
        patch.setattr(limits, "LEAST_FREE", 2**62)
        with pytest.raises(LimitReached) as refusal:
            submit(1)
    assert refusal.value.rule == "storage"
    assert not Generation.objects.exists()
    assert submit(1).status == Status.QUEUED


def test_a_storage_that_is_no_disk_here_has_no_such_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    policy()
    monkeypatch.setattr(limits, "LEAST_FREE", 2**62)
    monkeypatch.setattr(limits, "default_storage", InMemoryStorage())
    assert submit(1).status == Status.QUEUED


@pytest.mark.parametrize(
    ("rule", "limit"), [("daily", {"daily_limit": 5}), ("waiting", {"waiting_limit": 5}), ("queue", {"queue_limit": 5})]
)
def test_twenty_messages_at_once_do_not_pass_a_limit_of_five(rule: str, limit: dict[str, int]) -> None:
    policy(**limit)
    services.remember(ANN)
    refused = at_once(20, submit)
    assert Generation.objects.count() == 5
    assert [getattr(error, "rule", error) for error in refused] == [rule] * 15


def asked(number: int, person: Person = ANN) -> services.Request:
    return services.Request(person, "a red circle", f"key {number}")


def test_what_is_decided_together_is_counted_one_after_the_other_and_a_known_prompt_is_known() -> None:
    policy(waiting_limit=2)
    before = submit(1)
    bob = Person(user_id=2)
    known, second, third, bobs, again = services.submit_all([asked(1), asked(2), asked(3), asked(4, bob), asked(2)])
    assert known == before
    assert isinstance(second, Generation)
    assert second.status == Status.QUEUED
    assert isinstance(third, LimitReached)
    assert (third.rule, third.limit) == ("waiting", 2)
    assert isinstance(bobs, Generation)
    assert bobs.requester.user_id == 2
    assert again is second
    assert Generation.objects.count() == 3
    assert [event.kind for event in second.events.all()] == ["queued"]


def test_a_queue_that_is_full_half_way_is_full_for_everybody_after_that() -> None:
    policy(queue_limit=1)
    first, *others = services.submit_all([asked(number, Person(user_id=number)) for number in range(1, 5)])
    assert isinstance(first, Generation)
    assert [getattr(other, "rule", "") for other in others] == ["queue"] * 3


def test_a_daily_limit_is_reached_half_way() -> None:
    policy(daily_limit=2)
    outcomes = services.submit_all([asked(number) for number in range(4)])
    assert [getattr(outcome, "rule", "accepted") for outcome in outcomes] == ["accepted", "accepted", "daily", "daily"]


def test_a_bad_prompt_among_good_ones_is_refused_alone() -> None:
    policy()
    empty = services.Request(ANN, "  ", "empty")
    good, bad, large = services.submit_all(
        [asked(1), empty, services.Request(ANN, "a cat", "large", changes={"frames": 10_000})]
    )
    assert isinstance(good, Generation)
    assert isinstance(bad, services.prompts.PromptRefused)
    assert isinstance(large, services.InvalidSpec)
    assert Generation.objects.count() == 1


def test_two_processes_that_meet_the_same_new_people_make_each_of_them_once() -> None:
    policy()
    together = threading.Barrier(2)
    failures: list[Exception] = []

    def send(numbers: list[int]) -> None:
        try:
            together.wait()
            services.submit_all([asked(number, Person(user_id=number % 40)) for number in numbers])
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    numbers = list(range(80))
    threads = [threading.Thread(target=send, args=(part,)) for part in (numbers, [100 + n for n in reversed(numbers)])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Requester.objects.count() == 40
    assert Generation.objects.count() == 160


def test_zero_means_no_limit() -> None:
    policy()
    for number in range(12):
        submit(number)


def test_the_sixth_prompt_on_a_five_a_day_limit_is_refused_until_midnight(make_row: MakeRow) -> None:
    policy(daily_limit=5)
    for number in range(5):
        submit(number)
    with pytest.raises(LimitReached) as refusal:
        submit(6)
    error = refusal.value
    assert (error.rule, error.limit) == ("daily", 5)
    assert error.retry_at is not None
    assert timezone.localtime(error.retry_at).strftime("%H:%M:%S") == "00:00:00"
    assert timedelta(0) < error.retry_at - timezone.now() <= timedelta(days=1)
    assert Generation.objects.count() == 5, "nothing is stored"

    with mock.patch.object(timezone, "now", return_value=error.retry_at + timedelta(seconds=1)):
        submit(6)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.REJECTED])
def test_what_did_not_become_a_video_does_not_count(status: Status, make_row: MakeRow) -> None:
    policy(daily_limit=1)
    make_row(user_id=1, status=status)
    submit(1)


def test_what_an_operator_made_does_not_count(make_row: MakeRow) -> None:
    policy(daily_limit=1, waiting_limit=1)
    make_row(user_id=1, created_by=User.objects.create(username="ann"))
    submit(1)


def test_somebody_elses_videos_do_not_count(make_row: MakeRow) -> None:
    policy(daily_limit=1, waiting_limit=1)
    make_row(user_id=2)
    submit(1)


def test_a_finished_video_frees_a_place_in_the_queue_but_not_in_the_day(make_row: MakeRow) -> None:
    policy(waiting_limit=1, daily_limit=2)
    row = submit(1)
    with pytest.raises(LimitReached, match="waiting"):
        submit(2)
    Generation.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED)
    submit(2)
    Generation.objects.update(status=Status.SUCCEEDED)
    with pytest.raises(LimitReached, match="daily"):
        submit(3)


def test_a_change_of_the_policy_binds_the_next_message() -> None:
    policy(daily_limit=1)
    submit(1)
    with pytest.raises(LimitReached):
        submit(2)
    policy(daily_limit=2)
    submit(2)


def test_a_banned_person_is_told_the_reason() -> None:
    services.remember(ANN)
    operating.ban(Requester.objects.get(user_id=1), by=User.objects.create(username="op"), reason="spam")
    with pytest.raises(LimitReached) as refusal:
        submit(1)
    assert (refusal.value.rule, refusal.value.reason) == ("banned", "spam")


def test_a_day_with_a_clock_change_ends_at_midnight_too(make_row: MakeRow, settings: object) -> None:
    row = make_row()
    berlin = ZoneInfo("Europe/Berlin")
    with timezone.override(berlin):
        # 25 hours long.
        now = datetime(2026, 10, 25, 12, tzinfo=berlin)
        with mock.patch.object(timezone, "now", return_value=now):
            usage = limits.usage_today(row.requester, policy(daily_limit=3))
    assert usage.resets_at == datetime(2026, 10, 26, tzinfo=berlin)
    assert (usage.limit, usage.left) == (3, 3 - usage.used)


def test_where_only_some_are_let_in_a_stranger_is_refused_at_every_door() -> None:
    policy()
    row = submit(0)
    Generation.objects.update(status=Status.SUCCEEDED)
    Policy.objects.update(access="invite")
    assert access.withdraw_access(row.requester)
    again = partial(afterwards.repeat, row, person=ANN, request_key="again", place=None, seed="new")
    for door in (partial(submit, 1), again):
        with pytest.raises(LimitReached) as refusal:
            door()
        assert refusal.value.rule == "invite"
    # An operator's own re-run is not the stranger's.
    services.rerun(row, by=User.objects.create(username="olga"))
    assert access.admit(row.requester)
    assert not access.admit(row.requester)
    assert submit(1).status == Status.QUEUED
    assert again().status == Status.QUEUED


def test_terms_are_accepted_in_the_version_of_today() -> None:
    policy()
    Policy.objects.update(terms="Be kind.", terms_version=2)
    with pytest.raises(LimitReached) as refusal:
        submit(1)
    assert refusal.value.rule == "terms"
    assert [access.accept_terms(ANN, version) for version in (1, 3, 2, 2)] == [False, False, True, True]
    assert submit(1).status == Status.QUEUED


def test_the_pause_is_said_before_the_terms_and_access_before_both() -> None:
    policy()
    Policy.objects.update(terms="Be kind.", terms_version=1, paused=True, access="ask")
    rules = []
    changes: list[dict[str, Any]] = [{"access": "ask"}, {"access": "open"}, {"paused": False}]
    for change in changes:
        Policy.objects.update(**change)
        with pytest.raises(LimitReached) as refusal:
            submit(1)
        rules.append(refusal.value.rule)
    assert rules == ["ask", "paused", "terms"]
