"""What may have arrived is not sent twice; what has not is; and nobody waits for somebody else's trouble."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from generations.models import Delivery, Generation
from generations.sweep import sweep
from telegram_bot.delivery import handover, parcel, rows
from tests.telegram_bot.conftest import ALICE, BOB, Finish, House, change, job, jobs

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
async def rendered(house: House, render: Finish) -> House:
    """Alice's video lies ready; her status message is there."""
    await house.say("a red circle")
    await render()
    return house


@pytest.fixture
async def plain(rendered: House) -> House:
    """The same, but the status message is gone: the video must be sent."""
    rendered.telegram.delete(ALICE, rendered.telegram.bot_messages(ALICE)[0].id)
    await change(await job(), status_message_id=None)
    return rendered


async def again(house: House) -> None:
    """As if the wait were over."""
    await sync_to_async(Generation.objects.update)(deliver_after=None)
    await house.deliver()


def videos(house: House, chat_id: int = ALICE) -> int:
    return [message.kind for message in house.telegram.bot_messages(chat_id)].count("video")


async def outcome() -> tuple[str, str]:
    row = await job()
    return row.delivery, row.delivery_error


# --- may have arrived


@pytest.mark.parametrize("fault", ["drop_reply", "cut_reply"])
async def test_an_edit_whose_reply_is_lost_is_repeated_and_leaves_one_video(rendered: House, fault: str) -> None:
    getattr(rendered.telegram, fault)("editMessageMedia")
    await rendered.deliver()
    assert (await outcome())[0] == Delivery.WAITING
    await again(rendered)
    assert (await outcome()) == (Delivery.DELIVERED, "")
    assert videos(rendered) == 1
    assert len(rendered.telegram.calls("editMessageMedia")) == 2


@pytest.mark.parametrize("fault", ["drop_reply", "cut_reply"])
async def test_a_video_whose_reply_is_lost_is_not_sent_again(plain: House, fault: str) -> None:
    getattr(plain.telegram, fault)("sendVideo")
    for _ in range(3):
        await again(plain)
    assert (await outcome())[0] == Delivery.UNKNOWN
    assert videos(plain) == 1


async def test_a_server_error_on_a_plain_send_may_hide_a_video(plain: House) -> None:
    plain.telegram.fail("sendVideo", status=502)
    await plain.deliver()
    assert await outcome() == (Delivery.UNKNOWN, "Bad Gateway")
    assert videos(plain) == 0


async def test_three_server_errors_on_the_edit_are_sat_out(rendered: House) -> None:
    rendered.telegram.fail("editMessageMedia", status=500, times=3)
    for _ in range(4):
        await again(rendered)
    assert await outcome() == (Delivery.DELIVERED, "")


async def test_an_unknown_video_is_sent_again_only_at_a_persons_word(plain: House) -> None:
    plain.telegram.drop_reply("sendVideo", processed=False)
    await plain.deliver()
    assert videos(plain) == 0
    await sync_to_async((await job()).resend)(actor="operator")
    await plain.deliver()
    assert await outcome() == (Delivery.DELIVERED, "")
    assert videos(plain) == 1


async def test_a_bot_killed_after_the_edit_finds_it_done(rendered: House) -> None:
    await rendered.deliver()
    # As if killed before the outcome was written.
    await change(
        await job(), delivery=Delivery.SENDING, delivery_owner="dead", delivery_lease_until=timezone.now(), file_id=""
    )
    await sync_to_async(rows.release_all)("bot 2")
    await sync_to_async(sweep)()
    await again(rendered)
    assert await outcome() == (Delivery.DELIVERED, "")
    assert videos(rendered) == 1
    assert rendered.telegram.calls("sendVideo") == [], "nor a new message in place of the old one"


async def test_a_bot_killed_while_sending_leaves_it_to_a_person(plain: House) -> None:
    assert await sync_to_async(rows.claim)("dead", []) is not None
    await sync_to_async(rows.release_all)("bot 2")
    await sync_to_async(sweep)()
    await again(plain)
    assert (await outcome())[0] == Delivery.UNKNOWN
    assert videos(plain) == 0


# --- certainly not sent


async def test_a_flood_wait_is_kept_to_the_second_and_by_this_chat_only(rendered: House, render: Finish) -> None:
    await rendered.say("a blue square", BOB)
    await rendered.say("a second circle")
    for row in await jobs():
        if not row.is_finished:
            await render(row)
    rendered.telegram.fail("editMessageMedia", retry_after=37, chat_id=ALICE)
    await rendered.deliver()
    await rendered.deliver()
    assert videos(rendered, BOB) == 1
    assert len(rendered.telegram.calls("editMessageMedia", ALICE)) == 1
    first, _, third = await jobs()
    assert first.deliver_after is not None
    wait = first.deliver_after - timezone.now()
    assert timedelta(seconds=30) < wait <= timedelta(seconds=37)
    # The other result for Alice was not even tried.
    assert (third.delivery, third.delivery_attempts) == (Delivery.WAITING, 0)


async def test_a_refused_connection_is_tried_again(plain: House) -> None:
    plain.telegram.refuse_connections(0.3)
    await plain.deliver()
    state, reason = await outcome()
    assert state == Delivery.WAITING
    assert reason.startswith("httpx.Connect")
    row = await job()
    assert row.deliver_after is not None
    assert row.deliver_after > timezone.now()
    await asyncio.sleep(0.5)
    await again(plain)
    assert await outcome() == (Delivery.DELIVERED, "")
    assert videos(plain) == 1


async def test_attempts_end_one_day(rendered: House) -> None:
    rendered.telegram.fail("editMessageMedia", status=500)
    await change(await job(), delivery_attempts=handover.MAX_ATTEMPTS - 1)
    await rendered.deliver()
    assert await outcome() == (Delivery.UNDELIVERABLE, "Internal Server Error")


# --- never


async def test_a_person_who_blocked_the_bot_is_left_alone(rendered: House) -> None:
    rendered.telegram.block(ALICE)
    await rendered.deliver()
    assert await outcome() == (Delivery.UNDELIVERABLE, "Forbidden: bot was blocked by the user")
    await rendered.deliver()
    assert len(rendered.telegram.calls("editMessageMedia")) == 1


async def test_a_chat_that_is_gone(plain: House) -> None:
    plain.telegram.fail("sendVideo", status=400, description="Bad Request: chat not found")
    await plain.deliver()
    assert await outcome() == (Delivery.UNDELIVERABLE, "Chat not found")


async def test_what_cannot_be_edited_in_is_sent_and_the_old_status_goes(rendered: House) -> None:
    rendered.telegram.fail("editMessageMedia", status=400, description="Bad Request: MEDIA_EMPTY")
    await rendered.deliver()
    [message] = rendered.telegram.bot_messages(ALICE)
    assert message.kind == "video"
    assert await outcome() == (Delivery.DELIVERED, "")


async def test_a_video_that_telegram_never_takes_is_told_in_words(rendered: House) -> None:
    for method in ("editMessageMedia", "sendVideo"):
        rendered.telegram.fail(method, status=400, description="Bad Request: VIDEO_CONTENT_TYPE_INVALID")
    await rendered.deliver()
    [message] = rendered.telegram.bot_messages(ALICE)
    assert message.text == "Your video was made, but Telegram does not accept it. The operator can see why."
    assert await outcome() == (Delivery.UNDELIVERABLE, "told in words: Video_content_type_invalid")


async def test_a_revoked_token_keeps_the_result(plain: House) -> None:
    plain.telegram.fail("sendVideo", status=401)
    await plain.deliver()
    assert await outcome() == (Delivery.WAITING, "Telegram does not accept the bot token")


async def test_a_storage_that_fails_is_tried_again(rendered: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> bytes:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(parcel, "_read", broken)
        await rendered.deliver()
    assert await outcome() == (Delivery.WAITING, "the storage failed: ConnectionError")
    await again(rendered)
    assert videos(rendered) == 1
