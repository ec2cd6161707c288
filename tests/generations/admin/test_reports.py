"""What people reported from the chat."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from generations import afterwards
from generations.models import Generation, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db]

LIST = "/admin/generations/generation/"


def test_an_operator_finds_what_was_reported(prompt: Callable[..., Generation], page: Client) -> None:
    reported, other = prompt(status=Status.SUCCEEDED), prompt(status=Status.SUCCEEDED)
    assert afterwards.ask_once(reported, afterwards.REPORTED, key="1")
    other.record("delivered", actor="bot")
    shown = page.get(LIST, {"reported": "yes"}).context["cl"].result_list
    assert [row.pk for row in shown] == [reported.pk]
    assert len(page.get(LIST).context["cl"].result_list) == 2
    assert "reported" in page.get(f"{LIST}{reported.pk}/change/").content.decode()
