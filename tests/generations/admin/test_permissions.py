"""Who may see and do what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from generations.models import Generation, Policy, Requester, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]
Staff = Callable[..., Client]

PAGES = [
    "/admin/generations/generation/",
    "/admin/generations/generation/{row}/change/",
    "/admin/generations/generation/{row}/live/",
    "/admin/generations/generation/dashboard/",
    "/admin/generations/generation/{row}/reject/",
    "/admin/generations/generation/{row}/rerun/",
    "/admin/generations/generation/{row}/history/",
    "/admin/generations/generation/{row}/delete/",
    "/admin/generations/requester/",
    "/admin/generations/requester/{person}/change/",
    "/admin/generations/requester/{person}/ban/",
    "/admin/generations/requester/{person}/erase/",
    "/admin/generations/erasure/",
    "/admin/generations/group/",
    "/admin/generations/policy/1/change/",
    "/admin/telegram_bot/receivedupdate/",
    "/admin/telegram_bot/receivedupdate/number/7/",
    "/admin/telegram_bot/operatoraccount/",
    "/admin/telegram_bot/alert/",
    "/admin/django_rq/dashboard/",
    "/admin/django_rq/dashboard/queues/0/",
    "/admin/django_rq/dashboard/queues/0/some-job/",
    "/admin/django_rq/dashboard/stats.json",
]
LEVERS = [
    "/admin/generations/generation/{row}/do/approve/",
    "/admin/generations/generation/{row}/do/cancel/",
    "/admin/generations/generation/{row}/do/rerun-new/",
    "/admin/generations/generation/{row}/reject/",
    "/admin/generations/generation/{row}/rerun/",
    "/admin/generations/requester/{person}/ban/",
    "/admin/generations/requester/{person}/unban/",
    "/admin/generations/requester/{person}/erase/",
]


def fill(address: str, row: Generation) -> str:
    return address.format(row=row.pk, person=row.requester_id)


@pytest.mark.parametrize("address", [page for page in PAGES if "stats.json" not in page])
def test_strangers_are_sent_to_the_login_page(prompt: Make, address: str) -> None:
    answer = Client().get(fill(address, prompt()))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/admin/login/?next=")


@pytest.mark.parametrize("address", PAGES)
def test_staff_without_permission_see_no_page(prompt: Make, staff: Staff, address: str) -> None:
    Policy.current()
    assert staff().get(fill(address, prompt())).status_code == 403


@pytest.mark.parametrize("address", LEVERS)
def test_staff_who_may_only_look_can_pull_no_lever(prompt: Make, staff: Staff, address: str) -> None:
    looking = staff("view_generation", "view_requester", "view_policy")
    row = prompt(status=Status.PENDING_REVIEW)
    assert looking.post(fill(address, row), {"reason": "x"}).status_code == 403
    row.refresh_from_db()
    assert row.status == Status.PENDING_REVIEW
    assert not row.requester.is_banned
    assert Generation.objects.count() == 1


def test_staff_who_may_only_look_are_offered_no_lever(prompt: Make, staff: Staff) -> None:
    looking = staff("view_generation", "view_requester", "view_policy")
    row = prompt(status=Status.PENDING_REVIEW)
    shown = [
        looking.get(f"/admin/generations/generation/{row.pk}/change/"),
        looking.get("/admin/generations/generation/"),
        looking.get(f"/admin/generations/requester/{row.requester_id}/change/"),
    ]
    assert [answer.status_code for answer in shown] == [200, 200, 200]
    for answer in shown:
        text = answer.content.decode()
        assert "lever-approve" not in text
        assert "Ban…" not in text
        assert "approve_selected" not in text
    looking.post(
        "/admin/generations/generation/", {"action": "cancel_selected", "_selected_action": [row.pk]}, follow=True
    )
    row.refresh_from_db()
    assert row.status == Status.PENDING_REVIEW


def test_staff_with_the_permission_of_a_lever_can_pull_it(prompt: Make, staff: Staff) -> None:
    row = prompt(status=Status.PENDING_REVIEW)
    staff("review_generation").post(f"/admin/generations/generation/{row.pk}/do/approve/")
    row.refresh_from_db()
    assert row.status == Status.QUEUED


def test_the_page_of_a_prompt_does_not_lead_staff_to_the_queue_of_rq(staff: Staff) -> None:
    assert "django_rq" not in staff("view_generation", "admin").get("/admin/").content.decode()


def test_nobody_adds_people_or_a_second_policy(page: Client, person: Requester) -> None:
    Policy.current()
    for address in ("policy/add/", "policy/1/delete/", "requester/add/"):
        assert page.get(f"/admin/generations/{address}").status_code == 403
    assert page.get("/admin/telegram_bot/receivedupdate/add/").status_code == 403
