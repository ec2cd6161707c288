"""An operator erases a person, and what the admin's own log keeps of people."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from generations.models import Delivery, Erasure, Generation, Requester, Status
from telegram_bot import inbox
from telegram_bot.models import ReceivedUpdate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]


def test_an_operator_erases_a_person_with_what_is_on_its_way(
    prompt: Make, person: Requester, page: Client, operator: User
) -> None:
    prompt(status=Status.RUNNING)
    user = {"id": 4711, "is_bot": False, "first_name": "Petra"}
    message = {"message_id": 3, "date": 1, "chat": {"id": 4711, "type": "private"}, "from": user, "text": "a circle"}
    inbox.store([{"update_id": 1, "message": message}])
    ReceivedUpdate.objects.update(decided_at="2026-01-01T00:00Z", handled_at="2026-01-01T00:00Z")
    page.post(f"/admin/generations/requester/{person.pk}/change/", {"notes": "rude"})
    page.post(f"/admin/generations/requester/{person.pk}/ban/", {"reason": "Petra spams."})
    page.post(f"/admin/generations/requester/{person.pk}/unban/")
    address = f"/admin/generations/requester/{person.pk}/erase/"
    assert address in page.get(f"/admin/generations/requester/{person.pk}/change/").content.decode()

    assert "Erase Petra" in page.get(address).content.decode()
    assert "This field is required." in page.post(address, {"sure": ""}).content.decode()
    assert Requester.objects.exists()
    answer = page.post(address, {"sure": "on"}, follow=True)

    assert "Erased." in answer.content.decode()
    assert not Requester.objects.exists()
    assert not Generation.objects.exists()
    update = ReceivedUpdate.objects.get()
    assert (update.chat, update.payload) == ("", "{}")
    erasure = Erasure.objects.get()
    assert (erasure.prompts, erasure.updates, erasure.by) == (1, 1, operator)
    log = [(entry.object_repr, entry.change_message) for entry in LogEntry.objects.order_by("pk")]
    notes = '[{"changed": {"fields": ["Notes"]}}]'
    assert log == [("(erased)", notes), ("(erased)", "Banned"), ("(erased)", "Unbanned.")]


def test_the_delete_page_and_its_action_erase_as_well(prompt: Make, person: Requester, page: Client) -> None:
    other = Requester.objects.create(user_id=4712, display_name="Peter")
    prompt(status=Status.SUCCEEDED, delivery=Delivery.DELIVERED)
    page.post(f"/admin/generations/requester/{person.pk}/delete/", {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    page.post("/admin/generations/requester/", chosen)
    assert not Requester.objects.exists()
    assert [erasure.prompts for erasure in Erasure.objects.order_by("pk")] == [1, 0]
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {"(erased)"}


def test_a_deleted_prompt_is_not_kept_in_the_log(prompt: Make, page: Client) -> None:
    told = {"status": Status.SUCCEEDED, "delivery": Delivery.DELIVERED}
    one, two = prompt(**told), prompt(**told)
    page.post(f"/admin/generations/generation/{one.pk}/delete/", {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [two.pk], "post": "yes"}
    page.post("/admin/generations/generation/", chosen)
    log = LogEntry.objects.order_by("pk").values_list("object_repr", flat=True)
    assert [entry.strip() for entry in log] == [f"#{one.pk}", f"#{two.pk}"]


@pytest.mark.parametrize("may", [(), ("view_requester", "change_requester", "ban_requester")])
def test_staff_without_the_permissions_erase_nobody(
    person: Requester, staff: Callable[..., Client], may: tuple[str, ...]
) -> None:
    browser = staff(*may)
    assert browser.post(f"/admin/generations/requester/{person.pk}/erase/", {"sure": "on"}).status_code == 403
    assert Requester.objects.filter(pk=person.pk).exists()


def test_the_list_of_erasures_is_only_to_look_at(page: Client, operator: User) -> None:
    row = Erasure.objects.create(prompts=345, updates=4, by=operator)
    assert page.post("/admin/generations/erasure/add/", {"prompts": 1, "updates": 1}).status_code == 403
    assert page.post(f"/admin/generations/erasure/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    listed = page.get("/admin/generations/erasure/").content.decode()
    assert '<td class="field-prompts">345</td>' in listed
