"""Rows 9, 11, 12 and 41: once more with a new seed, with the same one, and after a failure."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from generations.models import Generation, Policy, Status
from telegram_bot import texts
from telegram_bot.models import ReceivedUpdate

from .conftest import ALICE, BOB, GROUP, WORKER, Finish, House, change, job, jobs, set_policy
from .pressing import labels, last, press, toasts, video

LONG_AGO = timedelta(days=200)


async def test_a_video_has_its_buttons(house: House, render: Finish) -> None:
    await video(house, render)
    assert labels(last(house)) == [["Again", "Same seed"], ["Edit prompt"], ["As file", "As GIF"], ["Delete", "Report"]]


async def test_again_makes_another_video_of_the_same_prompt(house: House, render: Finish) -> None:
    first = await video(house, render)
    shown = last(house)
    assert await press(house, shown, "Again") == "It is in the queue."
    status = last(house)
    assert (status.text, status.reply_to, labels(status)) == ("Queued, 1 of 1", shown.id, [["Cancel"]])
    second = (await jobs())[-1]
    assert (second.parent_id, second.prompt, second.status) == (first.pk, first.prompt, Status.QUEUED)
    assert second.seed != first.seed
    assert (second.created_by_id, second.requester_id) == (None, first.requester_id)
    await render()
    await house.deliver()
    assert [message.kind for message in house.telegram.bot_messages(ALICE)] == ["video", "video"]


async def test_the_same_seed_repeats_every_setting(house: House, render: Finish) -> None:
    first = await video(house, render)
    await change(first, steps=21, guidance_scale=3.5, negative_prompt="text")
    first = await job()
    await press(house, last(house), "Same seed")
    second = (await jobs())[-1]
    assert second.pk != first.pk
    assert second.spec() == first.spec()


@pytest.mark.parametrize("button", ["Again", "Same seed"])
async def test_pressed_twice_it_is_made_once(house: House, render: Finish, button: str) -> None:
    await video(house, render)
    shown = last(house)
    await press(house, shown, button, times=2)
    assert toasts(house.telegram) == ["It is in the queue.", "That is on its way already."]
    assert await press(house, shown, button) == "That is on its way already."
    assert len(await jobs()) == 2


async def test_the_same_seed_is_not_taken_for_other_words_that_are_on_their_way(house: House, render: Finish) -> None:
    await video(house, render)
    shown = last(house)
    await house.say("a blue circle", reply_to=shown.id)
    assert await press(house, shown, "Same seed") == "It is in the queue."
    assert [row.prompt for row in await jobs()] == ["a red circle", "a blue circle", "a red circle"]


async def test_a_slipped_finger_makes_one_video_even_where_videos_take_no_time(house: House, render: Finish) -> None:
    await video(house, render)
    shown = last(house)
    await press(house, shown, "Again")
    await render()
    assert await press(house, shown, "Again") == "That is on its way already."
    # Later it is a new wish.
    await change((await jobs())[-1], created_at=timezone.now() - timedelta(minutes=1))
    assert await press(house, shown, "Again") == "It is in the queue."
    assert len(await jobs()) == 3


async def test_a_press_that_is_handled_a_second_time_makes_no_second_video(house: House, render: Finish) -> None:
    """Killed between the commit of the job and that of the answer."""
    await video(house, render)
    update = house.telegram.press(ALICE, last(house).id, "Again")
    await house.receive()
    await sync_to_async(_undecide)(update["update_id"])
    await house.consumer.run_once()
    assert len(await jobs()) == 2
    assert toasts(house.telegram) == ["It is in the queue.", "It is in the queue."]
    assert [message.kind for message in house.telegram.bot_messages(ALICE)] == ["video", "text"]


async def test_the_limits_count_and_their_refusal_is_the_toast(house: House, render: Finish) -> None:
    await video(house, render)
    await set_policy(daily_limit=1)
    toast = await press(house, last(house), "Again")
    assert toast.startswith("You have used your 1 video of today")
    assert house.telegram.calls("answerCallbackQuery")[-1].params["show_alert"] in (True, "true")
    assert len(await jobs()) == 1


async def test_where_operators_review_a_repeat_waits_for_them_too(house: House, render: Finish) -> None:
    await video(house, render)
    await set_policy(review=Policy.Review.BEFORE_GENERATION)
    await press(house, last(house), "Again")
    assert last(house).text == texts.held()
    assert (await jobs())[-1].status == Status.PENDING_REVIEW


async def test_a_preset_that_is_no_longer_offered_gives_way_to_the_default(house: House, render: Finish) -> None:
    first = await video(house, render)
    await change(first, preset="fast", steps=9)
    await set_policy(presets=["exact", "balanced"], default_preset="balanced")
    assert await press(house, last(house), "Same seed") == "It is in the queue."
    second = (await jobs())[-1]
    assert (second.preset, second.seed) == ("balanced", first.seed)
    assert second.steps != 9


async def test_only_the_person_who_asked_repeats_it_in_a_group(house: House, render: Finish) -> None:
    await video(house, render, "/video a red circle", GROUP)
    shown = last(house, GROUP)
    assert await press(house, shown, "Again", chat_id=GROUP, user_id=BOB) == texts.not_yours()
    assert len(await jobs()) == 1
    await press(house, shown, "Again", chat_id=GROUP, user_id=ALICE)
    second = (await jobs())[-1]
    assert (second.chat_id, second.requester.user_id) == (GROUP, ALICE)
    assert (await jobs())[0].prompt_message_id == second.prompt_message_id
    await render()
    await house.deliver()
    assert [message.kind for message in house.telegram.bot_messages(GROUP)] == ["video", "video"]


async def test_the_answer_comes_into_the_topic_of_the_video(house: House, render: Finish) -> None:
    topic = house.telegram.add_topic(GROUP, "Clips")
    house.telegram.say(GROUP, "/video a red circle", user_id=ALICE, thread_id=topic)
    await house.receive()
    await render()
    await house.deliver()
    await press(house, last(house, GROUP), "Again", chat_id=GROUP)
    assert last(house, GROUP).data["message_thread_id"] == topic
    assert (await jobs())[-1].thread_id == topic


async def test_the_buttons_work_months_later_and_after_a_restart(house: House, render: Finish) -> None:
    first = await video(house, render)
    await change(first, created_at=timezone.now() - LONG_AGO, delivered_at=timezone.now() - LONG_AGO)
    house.restart()
    assert await press(house, last(house), "Again") == "It is in the queue."


async def test_a_failure_can_be_tried_again_with_its_own_seed(house: House, render: Finish) -> None:
    await house.say("a red circle")
    failed = await job()
    assert await sync_to_async(failed.start)(WORKER)
    assert await sync_to_async(failed.fail)(WORKER, public_reason="The machine is out of memory.", traceback="")
    await house.deliver()
    told = last(house)
    assert (told.text, labels(told)) == ("The machine is out of memory.", [["Try again"]])
    await press(house, told, "Try again", times=2)
    assert toasts(house.telegram) == ["It is in the queue.", "That is on its way already."]
    second = (await jobs())[-1]
    assert (second.parent_id, second.spec()) == (failed.pk, failed.spec())
    await render()
    await house.deliver()
    assert last(house).kind == "video"
    assert last(house).reply_to == told.id


async def test_what_stopped_the_machine_twice_is_not_offered_again(house: House) -> None:
    await house.say("a red circle")
    row = await job()
    await sync_to_async(row.start)(WORKER)
    await change(row, worker_deaths=1, lease_until=timezone.now() - timedelta(minutes=5))
    assert await sync_to_async((await job()).recover)()
    await house.deliver()
    assert last(house).text.startswith("The video could not be made")
    assert labels(last(house)) == []


async def test_a_banned_person_repeats_nothing(house: House, render: Finish) -> None:
    row = await video(house, render)
    await sync_to_async(_ban)(row)
    assert await press(house, last(house), "Again") == "You may not use this bot. Enough."
    assert len(await jobs()) == 1


def _ban(row: Generation) -> None:
    type(row.requester).objects.update(banned_at=timezone.now(), ban_reason="Enough.")


def _undecide(update_id: int) -> None:
    row = ReceivedUpdate.objects.filter(update_id=update_id)
    row.update(decided_at=None, handled_at=None, answered_at=None, announces=None, owner="", lease_until=None)
