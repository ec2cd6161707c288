"""Announcements on the operators' pages: how one looks and to how many it goes, before anybody reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from generations.models import Requester
from telegram_bot.models import Broadcast, Bulletin, OperatorAccount

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PAGES = "/admin/telegram_bot/broadcast/"


def words(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


@pytest.fixture
def draft(person: Requester) -> Broadcast:
    return Broadcast.objects.create(text="New <model> tonight!", per_minute=60)


def test_a_draft_is_shown_as_people_will_read_it_and_says_to_how_many_it_goes(person: Requester, page: Client) -> None:
    Requester.objects.create(user_id=5, no_news=True)
    answer = page.post(f"{PAGES}add/", {"text": "New <model> tonight!\r\nTry it.", "per_minute": 60}, follow=True)
    shown = words(answer)
    assert "Kept as a draft. Nothing is sent yet." in shown
    assert "New &lt;model&gt; tonight!<br>Try it.<br><br>You want no announcements? Say so under /settings." in shown
    assert "Send to 1 people" in shown
    assert not Bulletin.objects.exists()
    assert Broadcast.objects.get().created_by == User.objects.get(username="olga")


def test_it_is_sent_and_stopped_from_its_page_and_then_neither_changed_nor_deleted(
    draft: Broadcast, page: Client
) -> None:
    one = f"{PAGES}{draft.pk}/"
    assert "It goes to 1 people." in words(page.post(f"{one}begin/", follow=True))
    shown = words(page.get(f"{one}change/"))
    assert "Being sent" in shown
    assert f'data-live="{one}live/"' in shown
    page.post(f"{one}change/", {"text": "Other words", "per_minute": 60})
    assert page.post(f"{one}delete/", {"post": "yes"}).status_code == 403
    draft.refresh_from_db()
    assert (draft.text, draft.state) == ("New <model> tonight!", "sending")
    assert "It was begun before." in words(page.post(f"{one}begin/", follow=True))
    assert "Stopped. Nobody more reads it." in words(page.post(f"{one}stop/", follow=True))
    assert "It is not being sent." in words(page.post(f"{one}stop/", follow=True))
    assert "data-live" not in words(page.get(f"{one}live/"))


def test_a_stale_form_changes_nothing_of_what_was_begun_meanwhile(
    draft: Broadcast, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Somebody begins it between the check of this form and its saving.
    monkeypatch.setattr("telegram_bot.broadcast_admin.BroadcastAdmin.has_change_permission", lambda *_: True)
    Broadcast.objects.update(state="sending")
    answer = page.post(f"{PAGES}{draft.pk}/change/", {"text": "Other words", "per_minute": 60}, follow=True)
    assert "It was begun meanwhile; nothing is changed." in words(answer)
    draft.refresh_from_db()
    assert (draft.text, draft.state) == ("New <model> tonight!", "sending")


def test_an_operator_reads_it_first_in_their_own_chat(draft: Broadcast, page: Client, operator: User) -> None:
    one = f"{PAGES}{draft.pk}/"
    assert "Send to me" not in words(page.get(f"{one}change/"))
    assert "Nobody knows your number in Telegram" in words(page.post(f"{one}try/", follow=True))
    OperatorAccount.objects.create(user=operator, telegram_id=77)
    assert "Send to me" in words(page.get(f"{one}change/"))
    for _ in range(2):
        page.post(f"{one}try/")
    assert [bulletin.chat_id for bulletin in Bulletin.objects.all()] == [77, 77]
    draft.refresh_from_db()
    assert draft.state == "draft"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"text": " \u200b\n"}, "There is no text that can be seen."),
        ({"text": "🎬" * 1751}, "at most 3500 characters"),
        ({"text": "Hi", "per_minute": 0}, "greater than or equal to 1"),
        ({"text": "Hi", "per_minute": 5000}, "less than or equal to 900"),
        ({"text": "Hi", "active_days": 0}, "greater than or equal to 1"),
    ],
)
def test_what_telegram_would_not_take_is_refused_here(page: Client, values: dict[str, Any], why: str) -> None:
    assert why in words(page.post(f"{PAGES}add/", {"per_minute": 60, **values}))
    assert not Broadcast.objects.exists()


def test_a_text_that_ends_in_empty_lines_is_taken_without_them(page: Client) -> None:
    page.post(f"{PAGES}add/", {"text": "Hi" + "\n" * 3000, "per_minute": 60})
    assert Broadcast.objects.get().text == "Hi"


def test_one_person_is_written_to_and_the_page_says_whether_it_arrived(person: Requester, page: Client) -> None:
    address = f"{PAGES}to/{person.pk}/"
    assert "Nothing so far." in words(page.get(address))
    assert "It is sent." in words(page.post(address, {"text": "Please be <kind>."}, follow=True))
    shown = words(page.get(address))
    assert "on its way" in shown
    assert "The operators of this bot write:<br><br>Please be &lt;kind&gt;." in shown
    Bulletin.objects.update(due=False, error="UNREACHABLE: Forbidden: bot was blocked by the user")
    assert "did not arrive: UNREACHABLE: Forbidden: bot was blocked by the user" in words(page.get(address))
    assert "This field is required." in words(page.post(address, {"text": ""}))


def test_whoever_may_not_write_has_no_such_button(person: Requester, staff: Callable[..., Client]) -> None:
    browser = staff("view_requester")
    assert "Write…" not in words(browser.get(f"/admin/generations/requester/{person.pk}/change/"))
    assert browser.get(f"{PAGES}to/{person.pk}/").status_code == 403
