"""The result: the status message becomes the video, or the clear words why there is none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.utils import timezone

from generations import operating, services
from generations.models import Delivery, Generation, Policy, Status
from tests.telegram_bot.conftest import ALICE, WORKER, Finish, House, change, job, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


async def test_the_status_message_becomes_the_video(house: House, render: Finish, clip: bytes) -> None:
    [status] = await house.say("a red circle")
    await change(await job(), seed=42)
    await render()
    await house.deliver()
    [message] = house.telegram.bot_messages(ALICE)
    assert message.id == status.id
    assert message.text == "a red circle\n\nSeed 42 · 64×64 · exact, 20 steps · made in 12 s"
    assert message.video is not None
    assert (message.video["width"], message.video["height"], message.video["duration"]) == (64, 64, 1)
    assert house.telegram.file(message.video["file_id"]) == clip
    [call] = house.telegram.calls("editMessageMedia")
    assert call.params["media"]["supports_streaming"] is True
    assert "parse_mode" not in call.params["media"]
    row = await job()
    assert (row.delivery, row.delivered_message_id) == (Delivery.DELIVERED, status.id)
    assert row.file_id == message.video["file_id"]
    assert row.delivered_at is not None


async def test_a_result_is_handed_over_once(house: House, render: Finish) -> None:
    await house.say("a red circle")
    await render()
    for _ in range(3):
        await house.deliver()
    assert len(house.telegram.calls("editMessageMedia")) == 1


async def test_without_a_status_message_the_video_is_sent_as_a_reply(house: House, render: Finish) -> None:
    [status] = await house.say("a red circle")
    house.telegram.delete(ALICE, status.id)
    await render()
    await house.deliver()
    [video] = house.telegram.bot_messages(ALICE)
    assert (video.kind, video.reply_to) == ("video", house.telegram.messages(ALICE)[0].id)
    row = await job()
    assert (row.delivery, row.delivered_message_id, row.status_message_id) == (Delivery.DELIVERED, video.id, None)


async def test_a_deleted_prompt_does_not_stop_its_video(house: House, render: Finish) -> None:
    await house.say("a red circle")
    for message in house.telegram.messages(ALICE):
        house.telegram.delete(ALICE, message.id)
    await render()
    await house.deliver()
    [video] = house.telegram.bot_messages(ALICE)
    assert (video.kind, video.reply_to) == ("video", None)


async def test_a_rerun_arrives_in_the_same_chat(house: House, render: Finish, admin_user: object) -> None:
    await house.say("a red circle")
    await render()
    await house.deliver()
    await sync_to_async(services.rerun)(await job(), by=admin_user, prompt="a blue square")
    await render()
    await house.deliver()
    [first, second] = house.telegram.bot_messages(ALICE)
    assert (second.kind, second.reply_to) == ("video", first.reply_to)
    assert second.text.startswith("a blue square\n\nSeed ")


@pytest.mark.parametrize("kind", ["animation", "document"])
async def test_whatever_telegram_makes_of_the_clip_its_kind_and_id_are_kept(house: House, kind: str) -> None:
    from telegram import Message

    from telegram_bot.delivery.handover import file_of

    size = {"width": 64, "height": 64, "duration": 1} if kind == "animation" else {}
    file = {"file_id": "kept", "file_unique_id": "u", **size}
    chat = {"id": ALICE, "type": "private"}
    message = Message.de_json({"message_id": 1, "date": 0, "chat": chat, kind: file}, None)
    assert file_of(message) == (kind, "kept")


# --- words instead of a video


async def test_a_failure_is_told_in_the_status_message(house: House) -> None:
    [status] = await house.say("a red circle")
    row = await job()

    def fail() -> None:
        row.start(WORKER)
        row.fail(WORKER, public_reason="The video came out broken.", traceback="Traceback: secret details")

    await sync_to_async(fail)()
    await house.deliver()
    [message] = house.telegram.bot_messages(ALICE)
    assert (message.id, message.text) == (status.id, "The video came out broken.")
    assert (await job()).delivery == Delivery.DELIVERED


async def test_a_failure_without_a_status_message_is_sent(house: House) -> None:
    [status] = await house.say("a red circle")
    house.telegram.delete(ALICE, status.id)
    await sync_to_async((await job()).cancel)(actor="operator")
    await house.deliver()
    [message] = house.telegram.bot_messages(ALICE)
    assert (message.text, message.reply_to) == ("This video was cancelled.", house.telegram.messages(ALICE)[0].id)


async def test_a_refused_prompt_is_told_with_its_reason(house: House, admin_user: object) -> None:
    await set_policy(review=Policy.Review.BEFORE_GENERATION)
    await house.say("a red circle")
    await sync_to_async(operating.reject)(await job(), by=admin_user, reason="No circles, please.")
    await house.deliver()
    [message] = house.telegram.bot_messages(ALICE)
    assert message.text == "An operator declined this prompt. No circles, please."


async def test_a_lost_file_is_told_in_words(house: House, render: Finish) -> None:
    await house.say("a red circle")
    row = await render()
    await sync_to_async(default_storage.delete)(row.file.name)
    await house.deliver()
    [message] = house.telegram.bot_messages(ALICE)
    assert message.text == "Your video was made, but its file has been lost. Please send the prompt again."
    row = await job()
    assert (row.delivery, row.delivery_error) == (
        Delivery.UNDELIVERABLE,
        "told in words: the file is missing in the storage",
    )


# --- timing


async def test_a_result_that_is_faster_than_its_announcement_waits_for_it(house: House, render: Finish) -> None:
    await house.say("a red circle")
    row = await job()
    await render()
    await change(row, deliver_after=timezone.now() + timedelta(seconds=60), status_message_id=None)
    await house.deliver()
    assert house.telegram.calls("sendVideo") == []


async def test_a_long_wait_ends_with_a_ring(house: House, render: Finish) -> None:
    await house.say("a red circle")
    await change(await job(), created_at=timezone.now() - timedelta(seconds=61))
    await render()
    await house.deliver()
    [video, ring] = house.telegram.bot_messages(ALICE)
    assert (video.kind, ring.text, ring.reply_to) == ("video", "Your video is ready.", video.id)


async def test_a_ring_that_fails_is_not_repeated(house: House, render: Finish) -> None:
    await house.say("a red circle")
    await change(await job(), created_at=timezone.now() - timedelta(seconds=61))
    await render()
    house.telegram.fail("sendMessage", status=500)
    await house.deliver()
    await house.deliver()
    assert [message.kind for message in house.telegram.bot_messages(ALICE)] == ["video"]
    assert (await job()).delivery == Delivery.DELIVERED


async def test_a_new_video_rings_by_itself(house: House, render: Finish) -> None:
    [status] = await house.say("a red circle")
    house.telegram.delete(ALICE, status.id)
    await change(await job(), created_at=timezone.now() - timedelta(seconds=61))
    await render()
    await house.deliver()
    assert [message.kind for message in house.telegram.bot_messages(ALICE)] == ["video"]


async def test_a_prompt_from_the_command_line_concerns_nobody(house: House, render: Finish) -> None:
    def submit() -> Generation:
        return services.submit(services.Person(1), "a cat", request_key="cli:1")

    row = await sync_to_async(submit)()
    await render(row)
    await house.deliver()
    assert (await job()).delivery == Delivery.NONE
    assert [call.method for call in house.telegram.calls()] == ["getMe"]


async def test_results_of_many_people_all_arrive(house: House, render: Finish) -> None:
    people = range(4001, 4013)
    for person in people:
        await house.say("a red circle", person)
        await house.say("a blue square", person)
    for row in await jobs():
        await render(row)
    await house.deliver()
    for person in people:
        assert [message.kind for message in house.telegram.bot_messages(person)] == ["video", "video"]
    assert {row.delivery for row in await jobs()} == {Delivery.DELIVERED}
    assert {row.status for row in await jobs()} == {Status.SUCCEEDED}
