"""The review inbox: what it shows, who decides, and what the second of two operators reads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from generations import claims, operating
from generations.models import AuditEntry, Delivery, Generation, Requester, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]
INBOX = "/admin/generations/generation/review/"
WAITS = {"status": Status.PENDING_REVIEW}
HELD = {"status": Status.SUCCEEDED, "delivery": Delivery.HELD, "hold_delivery": True}
JSON: dict[str, Any] = {"headers": {"Accept": "application/json"}}


def decide(page: Client, row: Generation, decision: str, reason: str = "") -> dict[str, Any]:
    answer = page.post(f"{INBOX}decide/", {"pk": row.pk, "decision": decision, "reason": reason}, **JSON)
    assert answer.status_code == 200
    said: dict[str, Any] = answer.json()
    return said


@pytest.fixture
def colleague(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("paul"))
    return client


def test_held_prompts_and_held_videos_are_there_and_nothing_else(page: Client, prompt: Make, person: Requester) -> None:
    first, video = prompt(**WAITS, prompt="a red circle"), prompt(**HELD, prompt="a blue square", file="a.mp4")
    for other in ({"status": Status.QUEUED}, {"status": Status.SUCCEEDED, "delivery": Delivery.WAITING}):
        prompt(**other)
    html = page.get(INBOX).content.decode()
    assert [f'data-pk="{row.pk}"' in html for row in (first, video)] == [True, True]
    assert html.count("<article") == 2
    assert "Prompt, before it is made" in html
    assert "Video, before it is sent" in html
    assert html.count("<video") == 1
    assert "2 made, 0 rejected" in html, "the record of the person"


def test_an_empty_inbox_says_so(page: Client) -> None:
    assert '<p class="empty">Nothing waits for review.' in page.get(INBOX).content.decode()


def test_each_decision_does_what_it_says(page: Client, prompt: Make) -> None:
    approved, rejected, video = prompt(**WAITS), prompt(**WAITS), prompt(**HELD)
    assert decide(page, approved, "approve") == {"done": True, "words": f"#{approved.pk}: approved.", "gone": []}
    assert decide(page, rejected, "reject", "No.")["words"] == f"#{rejected.pk}: rejected."
    assert decide(page, video, "approve")["done"] is True
    for row in (approved, rejected, video):
        row.refresh_from_db()
    assert (approved.status, rejected.status) == (Status.QUEUED, Status.REJECTED)
    assert (rejected.public_error, video.delivery) == ("No.", Delivery.WAITING)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "approved",
        "rejected",
        "approved",
    ]


def test_a_ban_takes_everything_of_the_person_off_the_page(page: Client, prompt: Make, person: Requester) -> None:
    rows = [prompt(**WAITS), prompt(**HELD), prompt(status=Status.QUEUED)]
    said = decide(page, rows[0], "ban", "Spam.")
    assert said == {"done": True, "words": "Petra is banned; 3 stopped.", "gone": [rows[0].pk, rows[1].pk]}
    for row in rows:
        row.refresh_from_db()
    assert [row.status for row in rows] == [Status.CANCELLED, Status.REJECTED, Status.CANCELLED]
    person.refresh_from_db()
    assert person.ban_reason == "Spam."


@pytest.mark.parametrize("decision", ["reject", "ban"])
def test_without_a_reason_nothing_is_done(decision: str, page: Client, prompt: Make, person: Requester) -> None:
    row = prompt(**WAITS)
    assert decide(page, row, decision, "  ") == {"done": False, "words": "Say why: the person is told.", "gone": []}
    row.refresh_from_db()
    person.refresh_from_db()
    assert (row.status, person.is_banned) == (Status.PENDING_REVIEW, False)


def test_whoever_decides_second_reads_who_was_first(page: Client, colleague: Client, prompt: Make) -> None:
    row = prompt(**WAITS)
    decide(page, row, "approve")
    said = decide(colleague, row, "reject", "No.")
    assert said == {"done": True, "words": f"#{row.pk}: already approved by olga.", "gone": []}
    row.refresh_from_db()
    assert row.status == Status.QUEUED


def test_what_its_person_cancelled_meanwhile_is_told_as_that(page: Client, prompt: Make) -> None:
    row = prompt(**WAITS)
    row.cancel(actor="requester")
    assert decide(page, row, "approve")["words"] == f"#{row.pk}: it does not wait for review any more (cancelled)."


def test_what_is_gone_is_told_as_that(page: Client, prompt: Make, person: Requester) -> None:
    row = prompt(**WAITS)
    pk = row.pk
    person.delete()
    row.pk = pk
    assert decide(page, row, "approve")["words"] == "It is gone: its person was erased, or it was deleted."


def test_while_one_operator_looks_at_it_the_other_cannot_decide(page: Client, colleague: Client, prompt: Make) -> None:
    row, other = prompt(**WAITS), prompt(**WAITS)
    assert page.post(f"{INBOX}claim/", {"pk": row.pk}).json() == {"held_by": ""}
    assert colleague.post(f"{INBOX}claim/", {"pk": row.pk}).json() == {"held_by": "olga"}
    said = decide(colleague, row, "approve")
    assert (said["done"], said["words"]) == (False, f"#{row.pk}: olga is looking at it. It is still undecided.")
    html = colleague.get(INBOX).content.decode()
    assert html.index(f'data-pk="{other.pk}"') < html.index(f'data-pk="{row.pk}"'), "what nobody looks at comes first"

    Generation.objects.filter(pk=row.pk).update(review_claimed_until=timezone.now() - timedelta(seconds=1))
    assert decide(colleague, row, "approve")["done"] is True


def test_by_a_plain_form_the_page_comes_back_with_what_happened(page: Client, prompt: Make) -> None:
    row = prompt(**WAITS)
    answer = page.post(f"{INBOX}decide/", {"pk": row.pk, "decision": "approve"}, follow=True)
    assert answer.redirect_chain == [(INBOX, 302)]
    assert f"#{row.pk}: approved." in answer.content.decode()


@pytest.mark.parametrize(
    ("pk", "said"),
    [
        ("", "This field is required."),
        ("x", "Enter a whole number."),
        ("-1", "Ensure this value is greater than or equal to 1."),
        ("9" * 30, "It is gone: its person was erased, or it was deleted."),
    ],
)
def test_a_number_that_is_none_harms_nothing(pk: str, said: str, page: Client) -> None:
    assert page.post(f"{INBOX}claim/", {"pk": pk}).status_code == 404
    assert page.post(f"{INBOX}decide/", {"pk": pk, "decision": "approve"}, **JSON).json()["words"] == said


def test_hostile_words_stay_words(page: Client, prompt: Make, person: Requester) -> None:
    evil = '"><img src=x onerror=alert(1)></script><script>alert(1)</script>'
    Requester.objects.update(display_name=evil)
    prompt(**WAITS, prompt=evil, negative_prompt=evil)
    html = page.get(INBOX).content.decode()
    assert "<img src=x" not in html
    assert "<script>alert" not in html


def test_who_may_not_ban_cannot_ban_here(staff: Callable[..., Client], prompt: Make, person: Requester) -> None:
    moderator = staff("review_generation")
    row = prompt(**WAITS)
    assert 'value="ban"' not in moderator.get(INBOX).content.decode()
    answer = moderator.post(f"{INBOX}decide/", {"pk": row.pk, "decision": "ban", "reason": "x"}, **JSON)
    assert answer.status_code == 403
    person.refresh_from_db()
    assert not person.is_banned


def test_the_page_asks_as_much_for_twenty_as_for_two(page: Client, prompt: Make) -> None:
    numbers = []
    for many in (2, 18):
        for number in range(many):
            prompt(**(WAITS if number % 2 else HELD))
        with CaptureQueriesContext(connection) as asked:
            page.get(INBOX)
        numbers.append(len(asked))
    assert numbers[0] == numbers[1] <= 15


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_one_counts(prompt: Make) -> None:
    row = prompt(**WAITS)
    users = [User.objects.create_superuser(name) for name in ("olga", "paul")]
    start, outcomes = threading.Barrier(2), list[bool]()

    def act(user: User) -> None:
        own = Generation.objects.get(pk=row.pk)
        start.wait()
        if claims.take(own, by=user):
            door = operating.approve if user.username == "olga" else operating.reject
            outcomes.append(door(own, by=user, **({} if user.username == "olga" else {"reason": "No."})))
        connection.close()

    threads = [threading.Thread(target=act, args=[user]) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 1
    assert AuditEntry.objects.count() == 1
