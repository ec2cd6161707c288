"""/history: finished videos as buttons, and the clip again for whoever presses one."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.utils import timezone

from generations.models import Delivery, Generation, Status
from telegram_bot import history
from telegram_bot.simulator import Message
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, Finish, House, change, job, jobs

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


async def make(house: House, render: Finish, *prompts: str, chat_id: int = ALICE, **more: object) -> None:
    """Videos that were asked for, made and delivered."""
    for prompt in prompts:
        await house.say(prompt, chat_id, **more)
        await render()
        await house.deliver()


def labels(message: Message) -> list[str]:
    return [button["text"] for row in message.buttons for button in row]


async def press(house: House, message: Message, button: str, **more: object) -> Message:
    """The newest message of the bot in that chat, afterwards."""
    chat_id = message.data["chat"]["id"]
    house.telegram.press(chat_id, message.id, button, **more)
    await house.receive()
    return house.telegram.bot_messages(chat_id)[-1]


def toasts(house: House) -> list[object]:
    return [call.params.get("text") for call in house.telegram.calls("answerCallbackQuery")]


async def test_the_newest_videos_come_first_five_on_a_page(house: House, render: Finish) -> None:
    await make(house, render, *(f"number {number}" for number in range(6)))
    await house.say("not finished")
    seeds = [row.seed for row in await jobs()]
    page = (await house.say("/history"))[-1]
    today = f"{timezone.localtime():%-d %b}"
    assert page.text == "Your videos, page 1 of 2. Press one to get it again."
    newest_first = [f"number {number} · {today} · Seed {seeds[number]}" for number in (5, 4, 3, 2, 1)]
    assert labels(page) == [*newest_first, "Older →"]
    page = await press(house, page, "Older →")
    assert page.texts[-1] == "Your videos, page 2 of 2. Press one to get it again."
    assert labels(page) == [f"number 0 · {today} · Seed {seeds[0]}", "← Newer"]
    page = await press(house, page, "← Newer")
    assert labels(page) == [*newest_first, "Older →"]
    assert len(page.texts) == 3


async def test_a_pressed_title_brings_the_clip_again_without_rendering(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    [first] = house.telegram.bot_messages(ALICE)
    page = (await house.say("/history"))[-1]
    house.restart()
    again = await press(house, page, labels(page)[0])
    assert (again.kind, again.data["caption"]) == ("video", first.data["caption"])
    assert (again.reply_to, again.buttons) == (page.id, first.buttons)
    [call] = house.telegram.calls("sendVideo")
    assert call.params["video"] == (await job()).file_id
    assert len(await jobs()) == 1


async def test_a_clip_that_telegram_has_forgotten_is_uploaded_again(house: House, render: Finish, clip: bytes) -> None:
    await make(house, render, "a red circle")
    page = (await house.say("/history"))[-1]
    await change(await job(), file_id="forgotten")
    again = await press(house, page, labels(page)[0])
    assert again.kind == "video"
    assert house.telegram.file(again.data["video"]["file_id"]) == clip


async def test_a_clip_that_telegram_calls_an_animation_is_sent_as_one(
    house: House, render: Finish, clip: bytes
) -> None:
    await make(house, render, "a red circle")
    page = (await house.say("/history"))[-1]
    sent = await house.application.bot.send_animation(GROUP, clip)
    assert sent.animation is not None
    await change(await job(), file_id=sent.animation.file_id)
    again = await press(house, page, labels(page)[0])
    assert (again.kind, again.data["animation"]["file_id"]) == ("animation", sent.animation.file_id)


async def test_a_clip_that_is_nowhere_any_more_is_said_to_be_lost(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    page = (await house.say("/history"))[-1]
    row = await job()
    await change(row, file_id="forgotten")
    await sync_to_async(default_storage.delete)(row.file.name)
    again = await press(house, page, labels(page)[0])
    assert again.text == "Your video was made, but its file has been lost. Please send the prompt again."


async def test_somebody_without_videos_is_told_so(house: House) -> None:
    page = (await house.say("/history"))[-1]
    assert (page.text, page.buttons) == ("You have no finished videos yet.", [])


async def test_what_failed_was_cancelled_or_is_held_back_is_not_listed(house: House, render: Finish) -> None:
    await make(house, render, "good", "held")
    for text in ("failed", "cancelled"):
        await house.say(text)
    rows = await jobs()
    await change(rows[1], delivery=Delivery.HELD, hold_delivery=True)
    await change(rows[2], status=Status.FAILED)
    await change(rows[3], status=Status.CANCELLED)
    page = (await house.say("/history"))[-1]
    assert [label.split(" · ")[0] for label in labels(page)] == ["good"]


async def test_a_video_that_never_arrived_can_be_got_here(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    await change(await job(), delivery=Delivery.UNDELIVERABLE, file_id="")
    page = (await house.say("/history"))[-1]
    assert (await press(house, page, labels(page)[0])).kind == "video"


async def test_nobody_gets_or_turns_what_is_somebody_elses(house: House, render: Finish) -> None:
    await make(house, render, *(f"/video {number}" for number in range(6)), chat_id=GROUP, user_id=ALICE)
    page = (await house.say("/history", GROUP, user_id=ALICE))[-1]
    for button in (labels(page)[0], "Older →"):
        assert await press(house, page, button, user_id=BOB) == page
    assert toasts(house) == ["Only the person who asked for this can use its buttons."] * 2
    assert (await press(house, page, "Older →", user_id=ALICE)).text.startswith("Your videos, page 2 of 2.")


async def test_a_group_does_not_see_what_was_made_elsewhere(house: House, render: Finish) -> None:
    await make(house, render, "a secret")
    page = (await house.say("/history", GROUP, user_id=ALICE))[-1]
    assert page.text == "You have no finished videos yet."
    await make(house, render, "/video a cat", chat_id=GROUP, user_id=ALICE)
    page = (await house.say("/history", GROUP, user_id=ALICE))[-1]
    assert [label.split(" · ")[0] for label in labels(page)] == ["a cat"]
    page = (await house.say("/history"))[-1]
    assert [label.split(" · ")[0] for label in labels(page)] == ["a cat", "a secret"]


async def test_a_video_that_was_deleted_since_is_gone(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    page = (await house.say("/history"))[-1]
    await sync_to_async(Generation.objects.all().delete)()
    assert await press(house, page, labels(page)[0]) == page
    assert toasts(house) == ["That does not exist any more."]


async def test_a_page_that_no_longer_exists_becomes_the_last(house: House, render: Finish) -> None:
    await make(house, render, *(f"number {number}" for number in range(history.PAGE + 1)))
    page = (await house.say("/history"))[-1]
    await change((await jobs())[0], status=Status.FAILED)
    page = await press(house, page, "Older →")
    assert page.text == "Your videos, page 1 of 1. Press one to get it again."


@pytest.mark.parametrize("data", ["history:1001:99999999999999999999", "history:1001:-1", "history:1001", "show:x"])
async def test_a_button_that_nobody_made_does_no_harm(house: House, render: Finish, data: str) -> None:
    await make(house, render, "a red circle")
    page = (await house.say("/history"))[-1]
    query = {
        "id": "7",
        "from": {"id": ALICE, "is_bot": False, "first_name": "Alice"},
        "chat_instance": "1",
        "message": {
            "message_id": page.id,
            "date": 1764000000,
            "chat": {"id": ALICE, "type": "private", "first_name": "Alice"},
        },
        "data": data,
    }
    messages = await house.inject({"update_id": 10**6, "callback_query": query})
    assert messages[-1].text in {page.text, "You have no finished videos yet."}
    assert len(toasts(house)) == 1
