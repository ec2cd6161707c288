"""What operators do to many rows, what they are told of those that were skipped, and what an export holds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from generations.admin import bulk, exporting
from generations.models import AuditEntry, Delivery, Generation, Requester, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

Make = Callable[..., Generation]
LIST = "/admin/generations/generation/"
TOLD = {"status": Status.SUCCEEDED, "delivery": Delivery.DELIVERED}


def act(page: Client, action: str, rows: list[Generation], **more: Any) -> str:
    form = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return page.post(LIST, form, follow=True).content.decode()


def pull(page: Client, row: Generation, lever: str) -> str:
    html = page.post(f"{LIST}{row.pk}/do/{lever}/", follow=True).content.decode()
    row.refresh_from_db()
    return html


def taken(page: Client, address: str) -> bytes:
    answer = page.get(address)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


# --- many at once


def test_of_rows_in_mixed_states_the_skipped_are_named_with_the_reason(prompt: Make, page: Client) -> None:
    held, video = prompt(status=Status.PENDING_REVIEW), prompt(status=Status.SUCCEEDED, delivery=Delivery.HELD)
    failed, queued = prompt(status=Status.FAILED), prompt()
    html = act(page, "approve_selected", [held, video, failed, queued])
    assert "Approved: 2." in html
    skipped = f"Skipped: #{failed.pk}: waits for no review (failed); #{queued.pk}: waits for no review (queued)."
    assert skipped in html
    for row in (held, video, failed, queued):
        row.refresh_from_db()
    assert [held.status, video.delivery, failed.status, queued.status] == ["queued", "waiting", "failed", "queued"]


def test_one_reason_for_many_rejected_and_the_rest_named(prompt: Make, page: Client) -> None:
    held, done = prompt(status=Status.PENDING_REVIEW), prompt(**TOLD)
    html = act(page, "reject_selected", [held, done], reason="No.")
    assert "Rejected: 1. The reason is sent." in html
    assert f"Skipped: #{done.pk}: waits for no review (succeeded)." in html


def test_many_skipped_for_one_reason_are_named_up_to_twenty() -> None:
    words = bulk.reasons({"too late": range(1, 31)})
    assert words.endswith("#19, #20 and 10 more: too late")


def test_whoever_was_slower_is_told_that(prompt: Make, page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    row = prompt(status=Status.PENDING_REVIEW)
    monkeypatch.setattr(Generation, "queue", lambda self, *, by: not self.cancel(actor="requester"))
    assert f"#{row.pk}: somebody else was faster (cancelled)" in act(page, "approve_selected", [row])


# --- the order of the queue


def test_a_prompt_is_put_first_and_back_to_its_turn(prompt: Make, page: Client) -> None:
    early = prompt()
    late = prompt(requester=Requester.objects.create(user_id=5))
    assert list(Generation.objects.in_fair_order()) == [early, late]
    assert "Put first in the queue." in pull(page, late, "first")
    assert list(Generation.objects.in_fair_order()) == [late, early]
    pull(page, late, "in-turn")
    assert list(Generation.objects.in_fair_order()) == [early, late]
    late.start("worker")
    assert "the state has changed meanwhile" in pull(page, late, "first")


# --- bad ones, and their files


def test_a_bad_video_is_marked_found_and_unmarked(prompt: Make, page: Client) -> None:
    bad, good = prompt(**TOLD, prompt="bad one"), prompt(**TOLD, prompt="good one")
    pull(page, bad, "bad")
    html = page.get(f"{LIST}?marked=bad").content.decode()
    assert ("bad one" in html, "good one" in html) == (True, False)
    pull(page, bad, "not-bad")
    assert bad.marked_bad is False
    assert [event.kind for event in bad.events.all()][-2:] == ["marked bad", "mark taken back"]
    assert good.marked_bad is False


def test_the_files_go_and_the_row_stays(prompt: Make, page: Client) -> None:
    names = [default_storage.save(name, ContentFile(b"x")) for name in ("a.mp4", "a.jpg")]
    row = prompt(status=Status.SUCCEEDED, delivery=Delivery.UNKNOWN, file=names[0], poster=names[1])
    assert "Files deleted." in pull(page, row, "delete-files")
    assert [default_storage.exists(name) for name in names] == [False, False]
    assert (row.file.name, row.status) == ("", Status.SUCCEEDED)
    assert "the state has changed meanwhile" in pull(page, row, "resend"), "there is nothing to send"
    assert row.delivery == Delivery.UNKNOWN


def test_files_that_somebody_waits_for_stay(prompt: Make, page: Client) -> None:
    name = default_storage.save("b.mp4", ContentFile(b"x"))
    row = prompt(status=Status.SUCCEEDED, delivery=Delivery.WAITING, file=name)
    html = act(page, "delete_files_selected", [row])
    assert f"#{row.pk}: no files, or somebody still waits for them (succeeded)" in html
    assert default_storage.exists(name)


# --- taken away as a file


def test_the_export_holds_what_the_filter_shows(prompt: Make, page: Client) -> None:
    failed = prompt(status=Status.FAILED, prompt="a “red” circle,\nslowly", rules=["a", "b"])
    prompt(prompt="another")
    text = taken(page, f"{LIST}export/csv/?status__exact=failed").decode()
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["id"], row["prompt"], row["status"]) == (str(failed.pk), "a “red” circle,\nslowly", "failed")
    assert (row["requester_user_id"], row["rules"]) == ("4711", "a, b")
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.after) == (
        "exported",
        {"rows": 1, "format": "csv", "filter": "status__exact=failed"},
    )


def test_json_keeps_numbers_numbers(prompt: Make, page: Client) -> None:
    row = prompt(status=Status.FAILED)
    [kept] = json.loads(taken(page, f"{LIST}export/json/"))
    assert (kept["id"], kept["seed"], kept["guidance_scale"], kept["started_at"]) == (row.pk, 7, 9.0, None)
    assert kept["created_at"] == exporting._plain(row.created_at)


def test_nothing_to_export_is_an_empty_list(page: Client) -> None:
    assert json.loads(taken(page, f"{LIST}export/json/")) == []
    assert taken(page, f"{LIST}export/csv/").decode().count("\r\n") == 1


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_takes_no_prompt_for_a_formula(evil: str, prompt: Make, page: Client) -> None:
    prompt(prompt=evil)
    [row] = csv.DictReader(io.StringIO(taken(page, f"{LIST}export/csv/").decode(), newline=""))
    assert row["prompt"] == f"'{evil}"


def test_the_pieces_of_an_export_leave_nothing_out(prompt: Make, page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PIECE", 3)
    rows = [prompt() for _ in range(7)]
    kept = json.loads(taken(page, f"{LIST}export/json/"))
    assert [row["id"] for row in kept] == [row.pk for row in reversed(rows)]
    monkeypatch.setattr(exporting, "MOST", 4)
    assert len(json.loads(taken(page, f"{LIST}export/json/"))) == 4


def test_chosen_rows_are_exported_and_no_others(prompt: Make, page: Client) -> None:
    rows = [prompt() for _ in range(3)]
    answer = page.post(LIST, {"action": "export_json_selected", "_selected_action": [rows[1].pk]})
    kept = json.loads(b"".join(answer.streaming_content))
    assert [row["id"] for row in kept] == [rows[1].pk]


def test_a_filter_that_there_is_not_is_told_by_the_list(page: Client) -> None:
    answer = page.get(f"{LIST}export/csv/?status__exact=failed&nothing=1")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{LIST}?e=1")
    assert not AuditEntry.objects.exists()


def test_another_format_is_not_there(page: Client) -> None:
    assert page.get(f"{LIST}export/xml/").status_code == 404
