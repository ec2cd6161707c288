"""The page of one generation."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from generations.models import Delivery, Generation, Status

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def test_the_video_plays_on_the_page_for_whoever_may_see_it(prompt: Callable[..., Generation], page: Client) -> None:
    default_storage.save("clip.mp4", ContentFile(b"0123456789"))
    row = prompt(status=Status.SUCCEEDED, file="clip.mp4", poster="clip.jpg")
    text = page.get(reverse("admin:generations_generation_change", args=[row.pk])).content.decode()
    video = re.search(r'<video controls muted loop playsinline preload="metadata" src="([^"]+)" poster="/media/', text)
    assert video
    answer = Client().get(video[1], headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.getvalue()) == (206, b"234")
    assert "/media/clip.mp4" not in text


def test_timeline_parameters_traceback_and_delivery_are_there(prompt: Callable[..., Generation], page: Client) -> None:
    row = prompt(negative_prompt="no text please")
    row.start("worker-1")
    row.fail("worker-1", public_reason="It went wrong.", traceback="Traceback: line 1")
    Generation.objects.filter(pk=row.pk).update(
        delivery=Delivery.UNDELIVERABLE, delivery_error="bot was blocked", delivery_attempts=2
    )
    text = page.get(reverse("admin:generations_generation_change", args=[row.pk])).content.decode()
    assert re.search(r"<strong>started</strong> by <bdi>worker-1</bdi>", text)
    for shown in ("Traceback: line 1", "It went wrong.", "no text please", "bot was blocked", "pill-undeliverable"):
        assert shown in text


def test_the_preset_is_shown_with_its_steps(prompt: Callable[..., Generation], page: Client) -> None:
    row = prompt(preset="balanced", steps=25)
    text = page.get(reverse("admin:generations_generation_change", args=[row.pk])).content.decode()
    shown = re.findall(r'fieldBox field-(preset|steps)[^"]*">.*?class="readonly">([^<]*)<', text, re.DOTALL)
    assert shown == [("preset", "balanced"), ("steps", "25")]


def test_a_generation_that_is_gone_leads_back_to_the_front_page(page: Client) -> None:
    answer = page.get(reverse("admin:generations_generation_change", args=[123456]))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
