"""An operator at the browser, a colleague who may only look, and a person with prompts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from generations import services
from generations.engine.card import ModelCard
from generations.models import Generation, Requester

numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _known_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranges do not depend on which model this machine serves."""
    monkeypatch.setattr(services, "model_card", ModelCard)


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("olga")


@pytest.fixture
def page(operator: User) -> Client:
    """The operator's browser, with CSRF checks off so that tests can post without fetching the form first."""
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """The browser of a staff member with these permissions and no others."""

    def make(*codenames: str) -> Client:
        user = User.objects.create_user(f"staff{next(numbers)}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def person(db: None) -> Requester:
    return Requester.objects.create(user_id=4711, display_name="Petra")


@pytest.fixture
def prompt(person: Requester) -> Callable[..., Generation]:
    """A row as services.submit leaves it, with changes."""

    def make(**changes: Any) -> Generation:
        values: dict[str, Any] = {
            "request_key": f"test:{next(numbers)}",
            "requester": person,
            "prompt": "a red circle moving right",
            "seed": 7,
            "frames": 16,
            "width": 256,
            "height": 256,
            "fps": 8,
            "steps": 50,
            "guidance_scale": 9.0,
            "chat_id": 4711,
            "prompt_message_id": 3,
        }
        generation = Generation.objects.create(**values | changes)
        generation.record("queued", actor="requester")
        return generation

    return make


@pytest.fixture
def pull(page: Client) -> Callable[[Generation, str], str]:
    """Press a button on the page of a generation; returns the page that follows, as text."""

    def press(generation: Generation, name: str) -> str:
        address = reverse("admin:generations_generation_lever", args=[generation.pk, name])
        return page.post(address, follow=True).content.decode()

    return press
