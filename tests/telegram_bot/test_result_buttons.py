"""Rows 34 and 39: the video as a file, deleted, reported."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage

from generations.models import Delivery, Generation, GenerationEvent, Status
from telegram_bot import texts
from telegram_bot.models import ReceivedUpdate

from .conftest import ALICE, BOB, GROUP, Finish, House, change, job, jobs
from .pressing import labels, last, press, toasts


@sync_to_async
def exists(row: Generation) -> bool:
    """The video's file, under the name that the row had."""
    return default_storage.exists(str(row.file.name))


async def video(house: House, render: Finish, prompt: str = "a red circle", chat_id: int = ALICE) -> Generation:
    """One that arrived."""
    await house.say(prompt, chat_id, user_id=ALICE)
    await render()
    await house.deliver()
    return (await jobs())[-1]


@sync_to_async
def kinds(row: Generation) -> list[str]:
    return list(GenerationEvent.objects.filter(generation=row).order_by("pk").values_list("kind", flat=True))


async def test_the_file_comes_once_byte_for_byte_as_a_reply(house: House, render: Finish, clip: bytes) -> None:
    row = await video(house, render)
    shown = last(house)
    assert await press(house, shown, "As file") == "The file is on its way."
    sent = last(house)
    assert (sent.kind, sent.reply_to) == ("document", shown.id)
    assert house.telegram.file(sent.data["document"]["file_id"]) == clip
    assert sent.data["document"]["file_name"] == f"{row.pk}.mp4"
    assert await press(house, shown, "As file") == "The file was sent already."
    assert len(house.telegram.bot_messages(ALICE)) == 2
    assert (await kinds(row)).count("asked for the file") == 1


async def test_the_file_pressed_twice_at_once_comes_once(house: House, render: Finish) -> None:
    await video(house, render)
    await press(house, last(house), "As file", times=2)
    assert toasts(house.telegram) == ["The file is on its way.", "The file was sent already."]
    assert [message.kind for message in house.telegram.bot_messages(ALICE)] == ["video", "document"]


async def test_the_gif_is_the_same_clip_that_plays_by_itself_and_comes_once(
    house: House, render: Finish, clip: bytes
) -> None:
    await video(house, render)
    shown = last(house)
    await press(house, shown, "As GIF", times=2)
    assert toasts(house.telegram) == ["The file is on its way.", "The file was sent already."]
    [_, sent] = house.telegram.bot_messages(ALICE)
    assert (sent.kind, sent.reply_to) == ("animation", shown.id)
    assert house.telegram.file(sent.data["animation"]["file_id"]) == clip
    # It is another wish than the file.
    assert await press(house, shown, "As file") == "The file is on its way."


async def test_a_video_that_the_storage_lost_is_not_promised(house: House, render: Finish) -> None:
    row = await video(house, render)
    await sync_to_async(default_storage.delete)(str(row.file.name))
    assert await press(house, last(house), "As file") == texts.no_video()
    assert len(house.telegram.bot_messages(ALICE)) == 1


async def test_a_file_that_telegram_cannot_take_now_is_sent_when_it_can(house: House, render: Finish) -> None:
    await video(house, render)
    house.telegram.fail("sendDocument", retry_after=1)
    await press(house, last(house), "As file")
    assert last(house).kind == "video"
    await sync_to_async(ReceivedUpdate.objects.update)(lease_until=None)
    await house.consumer.run_once()
    assert last(house).kind == "document"


async def test_deleting_asks_first_and_keeping_brings_the_buttons_back(house: House, render: Finish) -> None:
    row = await video(house, render)
    before = labels(last(house))
    assert await press(house, last(house), "Delete") == texts.deleting()
    assert labels(last(house)) == [["Delete for good", "Keep"]]
    assert last(house).kind == "video"
    await press(house, last(house), "Keep")
    assert labels(last(house)) == before
    assert await exists(row)


async def test_a_deleted_video_is_gone_from_chat_and_storage_and_its_row_keeps_its_history(
    house: House, render: Finish
) -> None:
    row = await video(house, render)
    await press(house, last(house), "Delete")
    assert await press(house, last(house), "Delete for good") == "Deleted."
    assert house.telegram.bot_messages(ALICE) == []
    assert not await exists(row)
    kept = await job()
    assert (kept.status, kept.prompt, kept.seed) == (Status.SUCCEEDED, row.prompt, row.seed)
    assert (kept.file.name, kept.sha256, kept.file_id) == ("", "", "")
    assert (await kinds(row))[-1] == "video deleted"


async def test_deleting_a_copy_from_the_history_takes_the_video_itself_along(house: House, render: Finish) -> None:
    row = await video(house, render)
    await press(house, (await house.say("/history"))[-1], f"show:{row.pk}")
    await press(house, last(house), "Delete")
    await press(house, last(house), "Delete for good")
    assert [message.kind for message in house.telegram.bot_messages(ALICE)] == ["text"]
    assert not await exists(row)


async def test_deleted_twice_is_deleted_once(house: House, render: Finish) -> None:
    row = await video(house, render)
    await press(house, last(house), "Delete")
    await press(house, last(house), "Delete for good", times=2)
    assert toasts(house.telegram)[-2:] == ["Deleted.", "Deleted."]
    assert (await kinds(row)).count("video deleted") == 1


async def test_what_telegram_does_not_let_a_bot_delete_is_said_under_it(house: House, render: Finish) -> None:
    row = await video(house, render)
    house.telegram.fail("deleteMessage", 400, description="Bad Request: message can't be deleted for everyone")
    await press(house, last(house), "Delete")
    await press(house, last(house), "Delete for good")
    assert (last(house).text, last(house).buttons) == (texts.cannot_be_removed(), [])
    assert not await exists(row)


async def test_a_video_that_is_just_being_sent_is_not_taken_away(house: House, render: Finish) -> None:
    row = await video(house, render)
    await press(house, last(house), "Delete")
    await change(row, delivery=Delivery.SENDING)
    assert await press(house, last(house), "Delete for good") == texts.not_finished()
    assert await exists(row)


async def test_nobody_deletes_or_reports_or_fetches_what_is_not_theirs(house: House, render: Finish) -> None:
    row = await video(house, render, "/video a red circle", GROUP)
    shown = last(house, GROUP)
    for button in ("As file", "Delete", "Report", f"deleted:{row.pk}"):
        data = next((entry["callback_data"] for line in shown.buttons for entry in line if entry["text"] == button), "")
        await house.inject(_forged(data or button, shown.id))
    assert toasts(house.telegram) == [texts.not_yours()] * 4
    assert labels(last(house, GROUP)) == labels(shown)
    assert await exists(row)


async def test_a_report_is_noted_for_the_operators_once(house: House, render: Finish) -> None:
    row = await video(house, render)
    assert await press(house, last(house), "Report") == texts.reported()
    assert await press(house, last(house), "Report") == texts.reported_already()
    assert (await kinds(row)).count("reported") == 1


def _forged(data: str, message_id: int) -> dict[str, object]:
    """A press by Bob, with any data: a changed client can send that."""
    chat = {"id": GROUP, "type": "supergroup", "title": "Friends"}
    query = {
        "id": data,
        "from": {"id": BOB, "is_bot": False, "first_name": "Bob"},
        "chat_instance": "1",
        "data": data,
        "message": {"chat": chat, "message_id": message_id, "date": 0},
    }
    return {"callback_query": query}
