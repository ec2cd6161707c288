"""People: ban, unban, usage and notes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from generations import limits, services
from generations.models import Delivery, Generation, Requester, Status, Tier
from generations.services import Person

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]
LIST = "/admin/generations/requester/"


def test_a_ban_cancels_what_waits_stops_what_runs_and_refuses_the_next_prompt(
    prompt: Make, person: Requester, page: Client
) -> None:
    running, queued, held = prompt(), prompt(), prompt(status=Status.PENDING_REVIEW)
    running.start("worker-1")
    answer = page.post(f"{LIST}{person.pk}/ban/", {"reason": "Spam."}, follow=True)
    assert "Prompts stopped: 3." in answer.content.decode()
    queued.refresh_from_db()
    held.refresh_from_db()
    assert (queued.status, held.status) == (Status.CANCELLED, Status.CANCELLED)
    assert queued.delivery == Delivery.WAITING
    assert running.cancel_wanted("worker-1")
    with pytest.raises(limits.LimitReached) as refusal:
        services.submit(Person(4711), "a red circle", request_key="next")
    assert (refusal.value.rule, refusal.value.reason) == ("banned", "Spam.")
    assert LogEntry.objects.get(object_id=person.pk).change_message == "Banned: Spam."
    assert queued.events.get(kind="cancelled").actor == "olga (ban)"


def test_an_unbanned_person_is_served_again(person: Requester, page: Client) -> None:
    page.post(f"{LIST}{person.pk}/ban/", {"reason": "Spam."})
    page.post(f"{LIST}{person.pk}/unban/")
    assert services.submit(Person(4711), "a red circle", request_key="next").status == Status.QUEUED
    assert LogEntry.objects.filter(change_message="Unbanned.").exists()


def test_a_ban_needs_a_reason(person: Requester, page: Client) -> None:
    page.post(f"{LIST}{person.pk}/ban/", {"reason": ""})
    person.refresh_from_db()
    assert not person.is_banned


def test_several_people_are_banned_and_unbanned_from_the_list(prompt: Make, page: Client) -> None:
    people = [Requester.objects.create(user_id=number) for number in (1, 2)]
    row = prompt(requester=people[0])
    chosen = {"_selected_action": [person.pk for person in people]}
    assert "Ban 2 people" in page.post(LIST, {"action": "ban_selected", **chosen}).content.decode()
    page.post(LIST, {"action": "ban_selected", "reason": "Raid.", **chosen})
    row.refresh_from_db()
    assert row.status == Status.CANCELLED
    assert Requester.objects.filter(ban_reason="Raid.").count() == 2
    page.post(LIST, {"action": "unban_selected", **chosen})
    assert not Requester.objects.exclude(banned_at=None).exists()


def test_usage_today_counts_as_the_limit_does(prompt: Make, person: Requester, page: Client) -> None:
    for status in (Status.SUCCEEDED, Status.QUEUED, Status.FAILED, Status.REJECTED):
        prompt(status=status)
    assert "2 of 50, 48 left, counted anew at 00:00 UTC" in page.get(f"{LIST}{person.pk}/change/").content.decode()
    answer = page.get(LIST)
    assert [row.used_today for row in answer.context["cl"].result_list] == [2]


def test_fifty_people_cost_no_more_queries_than_one(person: Requester, page: Client) -> None:
    page.get(LIST)
    with CaptureQueriesContext(connection) as one:
        page.get(LIST)
    Requester.objects.bulk_create(Requester(user_id=number) for number in range(49))
    with CaptureQueriesContext(connection) as fifty:
        page.get(LIST, {"banned": "no"})
    assert len(fifty) == len(one)


def test_notes_can_be_written_and_the_number_cannot_be_changed(person: Requester, page: Client) -> None:
    page.post(f"{LIST}{person.pk}/change/", {"notes": "Asked for refunds.", "user_id": 1, "ban_reason": "x"})
    person.refresh_from_db()
    assert (person.notes, person.user_id, person.ban_reason) == ("Asked for refunds.", 4711, "")


@pytest.mark.parametrize("words", ["Petra", "471", "no digits"])
def test_people_are_found_by_name_or_number(person: Requester, page: Client, words: str) -> None:
    found = [row.pk for row in page.get(LIST, {"q": words}).context["cl"].result_list]
    assert found == ([] if words == "no digits" else [person.pk])


def test_what_a_person_may_have_is_said_with_what_is_left(prompt: Make, person: Requester, page: Client) -> None:
    prompt(status=Status.QUEUED)
    tier = Tier.objects.create(name="Gold", daily_limit=7, hourly_limit=4, priority=3)
    Requester.objects.filter(pk=person.pk).update(tier=tier, waiting_limit=2, presets=["fast"])
    words = page.get(f"{LIST}{person.pk}/change/").content.decode()
    assert "1 of 7, 6 left" in words
    assert "1 of 4, 3 left" in words
    assert "hourly: 4; daily: 7; waiting: 2; running: no limit; " in words
    assert "presets: fast; lane: 3" in words
    assert "Gold" in page.get(LIST).content.decode()


def test_more_for_today_is_granted_on_the_page_and_on_the_list(person: Requester, page: Client) -> None:
    page.post(f"{LIST}{person.pk}/grant/", {"videos": 3})
    chosen = {"action": "grant_selected", "_selected_action": [person.pk]}
    assert "Grant 1 people more" in page.post(LIST, chosen).content.decode()
    page.post(LIST, {**chosen, "videos": 2})
    assert "0 of 55 (5 of them granted for today), 55 left" in page.get(f"{LIST}{person.pk}/change/").content.decode()
    Requester.objects.filter(pk=person.pk).update(daily_limit=0)
    answer = page.post(LIST, {**chosen, "videos": 2}, follow=True).content.decode()
    assert "Skipped: 1 without a limit per day." in answer
    assert page.post(f"{LIST}{person.pk}/grant/", {"videos": 0}).status_code == 200
    person.refresh_from_db()
    assert person.granted == 5


def test_a_tier_is_given_to_many_and_taken_from_them(person: Requester, page: Client) -> None:
    other, gold = Requester.objects.create(user_id=1), Tier.objects.create(name="Gold")
    chosen = {"action": "tier_selected", "_selected_action": [person.pk, other.pk]}
    assert "Give 2 people a tier" in page.post(LIST, chosen).content.decode()
    assert "Gold: 2 changed." in page.post(LIST, {**chosen, "tier": gold.pk}, follow=True).content.decode()
    assert "Gold: 0 changed." in page.post(LIST, {**chosen, "tier": gold.pk}, follow=True).content.decode()
    page.post(LIST, {**chosen, "tier": ""})
    assert not Requester.objects.exclude(tier=None).exists()


def test_limits_that_make_no_sense_are_refused(person: Requester, page: Client) -> None:
    answer = page.post(f"{LIST}{person.pk}/change/", {"max_pixels": 1, "priority": 10, "daily_limit": 10**9})
    words = answer.content.decode()
    assert "The model needs " in words
    assert "less than or equal to 9" in words
    assert "less than or equal to 100000" in words


def test_whoever_may_write_notes_may_not_set_limits(person: Requester, staff: Callable[..., Client]) -> None:
    staff("view_requester", "change_requester").post(
        f"{LIST}{person.pk}/change/", {"notes": "Rude.", "daily_limit": 9, "presets": ["fast"]}
    )
    person.refresh_from_db()
    assert (person.notes, person.daily_limit, person.presets) == ("Rude.", None, [])
