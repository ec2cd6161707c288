"""The stored updates: to look at only."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.utils import timezone

from telegram_bot.models import ReceivedUpdate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

LIST = "/admin/telegram_bot/receivedupdate/"


def test_updates_can_be_looked_at_and_not_changed(page: Client) -> None:
    payload = json.dumps({"text": "<script>alert(1)</script>"})
    update = ReceivedUpdate.objects.create(update_id=9, chat="4711", payload=payload, error="<b>boom")
    done = ReceivedUpdate.objects.create(update_id=10, chat="4711", payload="{}", handled_at=timezone.now())
    assert "&lt;b&gt;boom" in page.get(LIST).content.decode()
    assert [row.pk for row in page.get(LIST, {"state": "open"}).context["cl"].result_list] == [update.pk]
    assert [row.pk for row in page.get(LIST, {"q": "10"}).context["cl"].result_list] == [done.pk]
    one = page.get(f"{LIST}{update.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in one
    assert 'name="_save"' not in one
    for address in (f"{LIST}{update.pk}/delete/", f"{LIST}{update.pk}/change/"):
        assert page.post(address, {"payload": "{}"}).status_code == 403
