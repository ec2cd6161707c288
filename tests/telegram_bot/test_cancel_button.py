"""Rows 7 and 8 of the product's list: a person stops what they asked for, while it waits and while it is rendered."""

from __future__ import annotations

from asgiref.sync import sync_to_async

from generations.models import GenerationEvent, Policy, Status
from telegram_bot import texts

from .conftest import ALICE, BOB, GROUP, WORKER, Finish, House, job, jobs, set_policy
from .pressing import labels, last, press, toasts


@sync_to_async
def events() -> list[tuple[str, str]]:
    return list(GenerationEvent.objects.order_by("pk").values_list("kind", "actor"))


async def test_a_waiting_prompt_is_cancelled_and_its_status_message_says_so(house: House) -> None:
    [status] = await house.say("a red circle")
    assert labels(status) == [["Cancel"]]
    assert await press(house, status, "Cancel") == "This video was cancelled."
    assert (await job()).status == Status.CANCELLED
    await house.deliver()
    [status] = house.telegram.bot_messages(ALICE)
    assert (status.text, status.buttons) == ("This video was cancelled.", [])
    assert ("cancelled", "requester") in await events()


async def test_a_prompt_that_waits_for_an_operator_can_be_cancelled(house: House) -> None:
    await set_policy(review=Policy.Review.BEFORE_GENERATION)
    [status] = await house.say("a red circle")
    await press(house, status, "Cancel")
    assert (await job()).status == Status.CANCELLED


async def test_a_video_that_is_being_rendered_is_stopped_by_its_worker(house: House) -> None:
    [status] = await house.say("a red circle")
    row = await job()
    assert await sync_to_async(row.start)(WORKER)
    await house.show_status()
    [status] = house.telegram.bot_messages(ALICE)
    assert (status.text, labels(status)) == ("Rendering 0 %", [["Cancel"]])
    assert await press(house, status, "Cancel") == "It is being stopped."
    assert await sync_to_async(row.cancel_wanted)(WORKER)
    assert await sync_to_async(row.stopped)(WORKER)
    await house.deliver()
    assert last(house).text == "This video was cancelled."


async def test_cancel_pressed_twice_cancels_once_and_tells_one_outcome(house: House) -> None:
    [status] = await house.say("a red circle")
    await press(house, status, "Cancel", times=2)
    assert toasts(house.telegram) == ["This video was cancelled.", "It is finished already."]
    await house.deliver()
    assert [message.text for message in house.telegram.bot_messages(ALICE)] == ["This video was cancelled."]
    assert [kind for kind, _ in await events()].count("cancelled") == 1


async def test_cancel_after_the_end_changes_nothing(house: House, render: Finish) -> None:
    [status] = await house.say("a red circle")
    await render()
    assert await press(house, status, "Cancel") == "It is finished already."
    assert (await job()).status == Status.SUCCEEDED
    await house.deliver()
    assert last(house).kind == "video"


async def test_nobody_cancels_what_somebody_else_asked_for_in_a_group(house: House) -> None:
    await house.say("/video a red circle", GROUP, user_id=ALICE)
    [status] = house.telegram.bot_messages(GROUP)
    assert await press(house, status, "Cancel", chat_id=GROUP, user_id=BOB) == texts.not_yours()
    assert (await job()).status == Status.QUEUED
    assert await press(house, status, "Cancel", chat_id=GROUP, user_id=ALICE) == "This video was cancelled."
    assert (await job()).status == Status.CANCELLED


async def test_the_button_works_after_a_restart_of_the_bot(house: House) -> None:
    [status] = await house.say("a red circle")
    house.restart()
    await press(house, status, "Cancel")
    assert [row.status for row in await jobs()] == [Status.CANCELLED]
