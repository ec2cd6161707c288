"""The list of generations: what it shows, its bulk actions, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from generations.admin.filters import OFFERED
from generations.admin.generation import GenerationAdmin
from generations.admin.shared import BoundedPaginator
from generations.models import REPORT, Delivery, Generation, Requester, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]
LIST = "/admin/generations/generation/"


def act(page: Client, action: str, rows: list[Generation], **more: Any) -> str:
    values = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return page.post(LIST, values, follow=True).content.decode()


def test_the_list_shows_poster_status_person_and_prompt(prompt: Make, page: Client) -> None:
    told = {"status": Status.SUCCEEDED, "delivery": Delivery.DELIVERED}
    prompt(poster="x.jpg", render_seconds=12.4, started_at=timezone.now(), **told)
    text = page.get(LIST).content.decode()
    for shown in ("/media/", "pill-succeeded", "pill-delivered", "Petra", "a red circle moving right", "12 s"):
        assert shown in text


def test_a_clock_that_was_set_back_shows_no_negative_wait(prompt: Make, page: Client) -> None:
    prompt(started_at=timezone.now() - timedelta(hours=2), status=Status.RUNNING)
    text = page.get(LIST).content.decode()
    assert "waited 0.0 s" in text


def test_fifty_rows_cost_no_more_queries_than_one(prompt: Make, page: Client) -> None:
    prompt()
    page.get(LIST)  # the content type is looked up once per process
    with CaptureQueriesContext(
        connection,
    ) as one:
        page.get(LIST)
    for number in range(49):
        prompt(requester=Requester.objects.create(user_id=number), poster="x.jpg", status=Status.SUCCEEDED)
    with CaptureQueriesContext(connection) as fifty:
        assert "50 generations" in page.get(LIST).content.decode()
    assert len(fifty) == len(one)
    assert len(one) <= 6


def test_only_what_was_there_lately_is_offered_as_a_filter(prompt: Make, page: Client) -> None:
    for number in range(12):
        prompt(host=f"gpu{number}", status=Status.FAILED, public_error=f"Reason {number % 2}.")
    text = page.get(LIST).content.decode()
    assert len(set(re.findall(r"\?host=gpu\d+", text))) == OFFERED
    assert set(re.findall(r"\?failure=([^\"]+)\"", text)) == {"Reason+0.", "Reason+1."}
    prompt().start("gpu-7.lan.12.abcd")
    assert "?host=gpu-7.lan" in page.get(LIST).content.decode()


def test_a_search_neither_counts_nor_fetches_without_a_bound(prompt: Make, page: Client) -> None:
    prompt()
    with CaptureQueriesContext(connection) as queries:
        page.get(LIST, {"q": "circle", "status__exact": "queued", "requester_banned": "no"})
    found = [query["sql"] for query in queries if 'FROM "generations_generation"' in query["sql"]]
    assert not [sql for sql in found if "COUNT(" in sql]
    # So many keys, or so many rows to read workers and reasons from.
    assert all(re.search(r"LIMIT 1(000)?|\"id\" IN \(", sql) for sql in found)


def test_a_search_that_has_no_index_looks_at_the_newest_rows_only(
    prompt: Make, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [prompt().pk for _ in range(3)]
    monkeypatch.setattr("generations.admin.generation.ROWS_SEARCHED", 2)
    # On PostgreSQL an index finds longer words.
    assert [row.pk for row in page.get(LIST, {"q": "ci"}).context["cl"].result_list] == rows[:0:-1]
    assert len(page.get(LIST, {"q": " "}).context["cl"].result_list) == 3


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL has an index for it")
def test_words_inside_prompts_are_found_by_an_index(prompt: Make) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    found = Generation.objects.filter(prompt__icontains="circle").order_by()
    assert "generation_prompt_words" in found.explain()


def test_every_page_of_a_long_list_shows_its_own_rows(
    prompt: Make, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GenerationAdmin, "list_per_page", 2)
    rows = [prompt().pk for _ in range(5)]
    pages = [page.get(LIST, {"p": number}).context["cl"].result_list for number in (1, 2, 3)]
    assert [[row.pk for row in shown] for shown in pages] == [rows[:2:-1], rows[2:0:-1], rows[:1]]
    assert page.get(LIST, {"p": 9}).status_code == 302


def test_a_list_longer_than_the_count_says_so(prompt: Make, page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedPaginator, "most", 2)
    for _ in range(3):
        prompt()
    assert "Only the first 2 are listed" in page.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "triangle"}, ["a green triangle"]),
        ({"q": "Petra"}, ["a red circle moving right"]),
        ({"q": "815"}, ["a green triangle"]),
        ({"status__exact": "failed"}, ["a green triangle"]),
        ({"delivery__exact": "waiting"}, ["a green triangle"]),
        ({"requester_banned": "yes"}, ["a green triangle"]),
        ({"requester_banned": "no"}, ["a red circle moving right"]),
        ({"preset": "fast"}, ["a green triangle"]),
        ({"host": "gpu1"}, ["a green triangle"]),
        ({"host": "\0"}, []),
        ({"failure": "Not enough memory."}, ["a green triangle"]),
        ({"failure": "Another reason."}, []),
        ({"reported": "yes"}, ["a green triangle"]),
        ({"requester_banned": "nonsense"}, ["a green triangle", "a red circle moving right"]),
        ({"q": "nothing like it"}, []),
    ],
)
def test_search_and_filters_find_the_row(prompt: Make, page: Client, query: dict[str, str], found: list[str]) -> None:
    banned = Requester.objects.create(user_id=815, display_name="Bodo", banned_at=timezone.now())
    prompt()
    other = {"delivery": Delivery.WAITING, "preset": "fast", "host": "gpu1", "public_error": "Not enough memory."}
    prompt(requester=banned, prompt="a green triangle", status=Status.FAILED, **other).record(REPORT, actor="x")
    answer = page.get(LIST, query)
    assert answer.status_code == 200
    assert [row.prompt for row in answer.context["cl"].result_list] == found


def test_chosen_prompts_are_approved_together(prompt: Make, page: Client) -> None:
    rows = [prompt(status=Status.PENDING_REVIEW), prompt(status=Status.PENDING_REVIEW), prompt(status=Status.FAILED)]
    text = act(page, "approve_selected", rows)
    assert "Approved: 2." in text
    assert f"Skipped: #{rows[2].pk}: waits for no review (failed)." in text
    assert Generation.objects.filter(status=Status.QUEUED).count() == 2


def test_chosen_prompts_are_refused_with_one_reason(prompt: Make, page: Client) -> None:
    rows = [prompt(status=Status.PENDING_REVIEW), prompt(status=Status.PENDING_REVIEW)]
    form = act(page, "reject_selected", rows)
    assert "Reject 2 prompts" in form
    assert f'name="_selected_action" value="{rows[0].pk}"' in form
    text = act(page, "reject_selected", rows, reason="Not today.")
    assert "Rejected: 2." in text
    assert list(Generation.objects.values_list("status", "public_error")) == [("rejected", "Not today.")] * 2


def test_chosen_prompts_are_cancelled_sent_again_and_rerun(prompt: Make, page: Client) -> None:
    waiting = prompt()
    lost = prompt(status=Status.SUCCEEDED, delivery=Delivery.UNKNOWN, file="a.mp4")
    act(page, "cancel_selected", [waiting, lost])
    act(page, "resend_selected", [waiting, lost])
    text = act(page, "rerun_same_selected", [waiting, lost])
    act(page, "rerun_new_selected", [lost])
    waiting.refresh_from_db()
    lost.refresh_from_db()
    assert (waiting.status, lost.delivery) == (Status.CANCELLED, Delivery.WAITING)
    assert lost.children.count() == 2
    again = waiting.children.get()
    assert f"#{again.pk}</bdi></a>" in text


def test_too_many_rows_at_a_time_are_refused(prompt: Make, page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generations.admin.shared.MAX_AT_ONCE", 1)
    rows = [prompt(status=Status.FAILED), prompt(status=Status.FAILED)]
    for action in ("rerun_new_selected", "delete_selected"):
        text = act(page, action, rows, select_across="1", post="yes")
        assert "Choose at most 1 rows at a time." in text
    assert Generation.objects.count() == 2


def test_the_front_page_leads_to_the_review_inbox(prompt: Make, page: Client) -> None:
    prompt(prompt="held one", status=Status.PENDING_REVIEW)
    prompt(prompt="free one")
    assert f'href="{LIST}review/"' in page.get("/admin/").content.decode()
    assert [card["row"].prompt for card in page.get(f"{LIST}review/").context["cards"]] == ["held one"]


def test_history_can_neither_be_added_nor_edited(prompt: Make, page: Client) -> None:
    row = prompt(status=Status.SUCCEEDED)
    address = reverse("admin:generations_generation_change", args=[row.pk])
    assert page.get(f"{LIST}add/").status_code == 403
    assert page.post(address, {"prompt": "forged"}).status_code == 403
    assert 'name="_save"' not in page.get(address).content.decode()
    row.refresh_from_db()
    assert row.prompt == "a red circle moving right"
