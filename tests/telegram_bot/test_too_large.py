"""A video that Telegram finds too large comes in a smaller form, or at last in words."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from generations import reencoding
from generations.models import Delivery
from telegram_bot.delivery import parcel
from tests.telegram_bot.conftest import ALICE, Finish, House, job

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

WORDS = "Your video was made, but it is too large to be sent here: Telegram takes up to 50 MB."


@pytest.fixture
async def rendered(house: House, render: Finish) -> House:
    await house.say("a red circle")
    await render()
    return house


async def shrink() -> None:
    """The worker's part, for real."""
    assert await sync_to_async(reencoding.shrink_next)("worker 1")


async def outcome() -> tuple[str, str]:
    row = await job()
    return row.delivery, row.delivery_error


async def test_what_telegram_finds_too_large_is_sent_once_in_a_smaller_form(rendered: House, clip: bytes) -> None:
    rendered.telegram.fail("editMessageMedia", status=413)
    await rendered.deliver()
    assert await outcome() == (Delivery.TOO_LARGE, "Request Entity Too Large")
    await rendered.deliver()
    await shrink()
    await rendered.deliver()
    assert await outcome() == (Delivery.DELIVERED, "")
    [message] = rendered.telegram.bot_messages(ALICE)
    assert message.video is not None
    assert len(rendered.telegram.file(message.video["file_id"])) < len(clip)
    assert len(rendered.telegram.calls("editMessageMedia")) == 2


async def test_the_same_for_a_new_message(rendered: House) -> None:
    rendered.telegram.delete(ALICE, rendered.telegram.bot_messages(ALICE)[0].id)
    rendered.telegram.fail("sendVideo", status=400, description="Bad Request: file is too big")
    await rendered.deliver()
    assert (await outcome())[0] == Delivery.TOO_LARGE
    await shrink()
    await rendered.deliver()
    assert [message.kind for message in rendered.telegram.bot_messages(ALICE)] == ["video"]


async def test_what_stays_too_large_is_told_in_words(rendered: House) -> None:
    rendered.telegram.fail("editMessageMedia", status=413, times=2)
    await rendered.deliver()
    await shrink()
    await rendered.deliver()
    [message] = rendered.telegram.bot_messages(ALICE)
    assert message.text == WORDS
    assert await outcome() == (Delivery.UNDELIVERABLE, "told in words: the file is too large")
    assert not await sync_to_async(reencoding.shrink_next)("worker 1")


async def test_a_file_over_telegrams_limit_is_not_even_tried(
    rendered: House, monkeypatch: pytest.MonkeyPatch, clip: bytes
) -> None:
    monkeypatch.setattr(parcel, "MAX_UPLOAD", len(clip) - 1)
    await rendered.deliver()
    assert await outcome() == (Delivery.TOO_LARGE, "the file is too large")
    assert rendered.telegram.calls("editMessageMedia") == []
    await shrink()
    await rendered.deliver()
    assert await outcome() == (Delivery.DELIVERED, "")


async def test_a_file_over_telegrams_limit_in_any_form_is_told_in_words(
    rendered: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MAX_UPLOAD", 100)
    await rendered.deliver()
    await shrink()
    await rendered.deliver()
    [message] = rendered.telegram.bot_messages(ALICE)
    assert message.text.startswith("Your video was made, but it is too large to be sent here")
    assert rendered.telegram.calls("editMessageMedia") == []
    assert (await outcome())[0] == Delivery.UNDELIVERABLE
