"""The page of one generation."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generations.models import Delivery, Generation, Status
from telegram_bot.models import ReceivedUpdate

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


def live(row: Generation) -> str:
    return reverse("admin:generations_generation_live", args=[row.pk])


def test_progress_is_told_anew_until_everything_is_settled(prompt: Callable[..., Generation], page: Client) -> None:
    row = prompt()
    row.start("gpu1.lan.12.abcd")
    row.report_progress("gpu1.lan.12.abcd", 40)
    text = page.get(live(row)).content.decode()
    assert f'data-live="{live(row)}"' in text
    assert "step 20 of 50" in text
    assert "<bdi>gpu1.lan</bdi>" in text
    row.fail("gpu1.lan.12.abcd", public_reason="It went wrong.", traceback="Traceback: boom")
    text = page.get(live(row)).content.decode()
    # To be told yet.
    assert "data-live=" in text
    assert "Traceback: boom" in text
    Generation.objects.filter(pk=row.pk).update(delivery=Delivery.DELIVERED)
    assert "data-live=" not in page.get(live(row)).content.decode()


def test_what_changes_is_shown_to_whoever_may_see_it(
    prompt: Callable[..., Generation], staff: Callable[..., Client]
) -> None:
    row = prompt()
    assert staff("view_style").get(live(row)).status_code == 403
    assert staff("view_generation").get(live(row)).status_code == 200
    assert staff("view_generation").get(live(Generation(pk=123456))).status_code == 404


def test_the_whole_family_of_a_rerun_is_shown_as_a_tree(prompt: Callable[..., Generation], page: Client) -> None:
    first = prompt(prompt="the first")
    second = prompt(parent=first, prompt="the second")
    third = prompt(parent=second, prompt="the third")
    fourth, fifth = prompt(parent=third, prompt="the fourth"), prompt(parent=third, prompt="the fifth")
    sixth = prompt(parent=fourth, prompt="the sixth")
    text = page.get(reverse("admin:generations_generation_change", args=[third.pk])).content.decode()
    shown = re.findall(r'<li class="depth-(\d)">.*?#(\d+).*?</li>', text, re.DOTALL)
    tree = [(0, first), (1, second), (2, third), (3, fourth), (4, sixth), (3, fifth)]
    assert shown == [(str(depth), str(row.pk)) for depth, row in tree]
    assert f'<strong aria-current="page">#{third.pk}, this one</strong>' in text
    assert 'class="lineage"' not in page.get(live(prompt())).content.decode()


def test_the_page_leads_to_the_update_that_it_came_from(prompt: Callable[..., Generation], page: Client) -> None:
    update = ReceivedUpdate.objects.create(update_id=77, chat="4711", payload='{"message": {"text": "a red circle"}}')
    row = prompt(request_key="update:77/2")
    address = reverse("admin:telegram_bot_receivedupdate_number", args=[77])
    assert f'<a href="{address}">77</a>' in page.get(live(row)).content.decode()
    assert "a red circle" in page.get(address, follow=True).content.decode()
    update.delete()
    assert "Update 77 is no longer stored." in page.get(address, follow=True).content.decode()
    assert "Telegram's update" not in page.get(live(prompt(request_key="rerun:77"))).content.decode()


def test_a_large_family_costs_no_more_queries_than_a_small_one(prompt: Callable[..., Generation], page: Client) -> None:
    row = prompt(parent=prompt())
    address = reverse("admin:generations_generation_change", args=[row.pk])
    page.get(address)
    counts = []
    for children in (1, 25):
        for _ in range(children):
            prompt(parent=prompt(parent=row))
        with CaptureQueriesContext(connection) as queries:
            text = page.get(address).content.decode()
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 15
    assert "And more." in text
