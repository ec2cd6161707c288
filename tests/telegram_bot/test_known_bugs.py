"""What was reported of other bots of this kind, end to end; docs/known_bugs.md lists the cases."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from asgiref.sync import sync_to_async

from generations.models import Delivery, Generation, Requester, Status
from telegram_bot import application, process
from telegram_bot.captions import utf16_length
from telegram_bot.consumer import Consumer
from telegram_bot.delivery import handover
from telegram_bot.simulator import Simulator
from tests.telegram_bot.conftest import ALICE, BOB, WORKER, Finish, House, base, change, job, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

FAMILY = "👨‍👩‍👧‍👦"


def videos(house: House, chat_id: int = ALICE) -> list[str]:
    """What is written below each video of a chat."""
    return [message.text for message in house.telegram.bot_messages(chat_id) if message.video]


# --- the prompt below its video


@pytest.mark.parametrize("sent_anew", [False, True], ids=["edited in", "sent anew"])
@pytest.mark.parametrize("prompt", ["a_b", "*", "[x](", "<b>cat", "1 < 2 & 3", "`", "&lt;", "</b>", "||x", r"\_"])
async def test_a_video_comes_with_its_prompt_as_typed(
    house: House, render: Finish, prompt: str, sent_anew: bool
) -> None:
    [status] = await house.inject(base(text=prompt))
    if sent_anew:
        house.telegram.delete(ALICE, status.id)
    await render()
    await house.deliver()
    [caption] = videos(house)
    assert caption.startswith(f"{prompt}\n\nSeed ")


@pytest.mark.parametrize("text", ["a" * 4096, "😀" * 600, FAMILY * 200], ids=["letters", "emoji", "joined emoji"])
async def test_the_longest_prompt_still_gets_its_video(house: House, render: Finish, text: str) -> None:
    await house.inject(base(text=text))
    await render()
    await house.deliver()
    [caption] = videos(house)
    shown = caption.partition("…\n\nSeed ")[0]
    assert text.startswith(shown)
    assert len(shown) % len(FAMILY) == 0 or text[0] != FAMILY[0]
    assert 900 < utf16_length(caption) <= 1024
    assert (await job()).delivery == Delivery.DELIVERED


async def test_a_reason_full_of_marks_is_told_as_written(house: House) -> None:
    await house.say("a cat")
    row = await job()
    await sync_to_async(row.start)(WORKER)
    await sync_to_async(row.fail)(WORKER, public_reason="*no* <b>way</b> [x](", traceback="")
    await house.deliver()
    [message] = house.telegram.bot_messages(ALICE)
    assert message.text == "*no* <b>way</b> [x]("


async def test_a_silent_clip_goes_out_as_a_video_with_its_size_and_length(house: House, render: Finish) -> None:
    """Without them some clients show it as a file, or as an animation that cannot be wound back."""
    await house.say("a cat")
    [status] = await house.say("a dog", BOB)
    house.telegram.delete(BOB, status.id)
    for row in await jobs():
        await render(row, video_width=64, video_height=48, duration=2.6)
    await house.deliver()
    [edit], [send] = house.telegram.calls("editMessageMedia", ALICE), house.telegram.calls("sendVideo", BOB)
    assert edit.params["media"]["type"] == "video"
    for given in (edit.params["media"], send.params):
        facts = [str(given[name]).lower() for name in ("width", "height", "duration", "supports_streaming")]
        assert facts == ["64", "48", "3", "true"]


# --- answers of Telegram that are late or of no use


async def test_a_video_whose_answer_never_comes_is_not_sent_again(
    house: House, render: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(handover.UPLOAD, "read_timeout", 0.3)
    [status] = await house.say("a cat")
    house.telegram.delete(ALICE, status.id)
    await render()
    house.telegram.hang("sendVideo", seconds=2)
    for _ in range(3):
        await house.deliver()
    assert len(videos(house)) == 1
    assert len(house.telegram.calls("sendVideo")) == 1
    assert (await job()).delivery == Delivery.UNKNOWN


async def test_fifty_videos_at_once_arrive_once_though_three_chats_are_told_to_wait(
    house: House, render: Finish
) -> None:
    people = range(7001, 7051)
    for person in people:
        house.telegram.say(person, "a cat")
    await house.receive()
    for row in await jobs():
        await render(row)
    for person in people[:3]:
        house.telegram.fail("editMessageMedia", retry_after=2, chat_id=person)
    began = time.monotonic()
    await house.deliver()
    assert {len(videos(house, person)) for person in people[3:]} == {1}, "nobody waits for those three"
    while time.monotonic() - began < 15 and not all(videos(house, person) for person in people):
        await asyncio.sleep(0.1)
        await house.deliver()
    assert {len(videos(house, person)) for person in people} == {1}
    for person in people[:3]:
        first, second = house.telegram.calls("editMessageMedia", person)
        assert second.at - first.at >= 2


async def test_a_reply_that_is_refused_though_it_was_optional_still_brings_the_video(
    house: House, render: Finish
) -> None:
    [status] = await house.say("a cat")
    house.telegram.delete(ALICE, status.id)
    await render()
    house.telegram.fail("sendVideo", status=400, description="Bad Request: message to be replied not found")
    await house.deliver()
    assert len(videos(house)) == 1
    [_, sent] = house.telegram.calls("sendVideo")
    assert "reply_parameters" not in sent.params


async def test_progress_that_is_refused_again_and_again_costs_nothing_but_itself(house: House, render: Finish) -> None:
    await house.say("a cat")
    row = await job()
    await sync_to_async(row.start)(WORKER)
    refusals = ["message is not modified", "message to edit not found"]
    for percent, refusal in enumerate(refusals, start=1):
        house.telegram.fail("editMessageText", status=400, description=f"Bad Request: {refusal}")
        await sync_to_async(row.report_progress)(WORKER, percent)
        house.restart()
        await house.show_status()
    await sync_to_async(row.succeed)(WORKER, file="gone.mp4", poster="", sha256="", seconds=1.0)
    assert (await job()).status == Status.SUCCEEDED
    await house.deliver()
    assert "its file has been lost" in house.telegram.bot_messages(ALICE)[-1].text


# --- people


async def test_somebody_who_floods_the_bot_is_capped_also_after_a_restart_and_the_next_person_is_next(
    house: House,
) -> None:
    await set_policy(waiting_limit=5)
    for number in range(30):
        house.telegram.say(ALICE, f"cat {number}")
    await house.receive()
    assert len(await jobs()) == 5
    house.restart()
    *queued, for_many, refusal = await house.say("one more")
    assert len(queued) == 5
    assert refusal.text.startswith("You have 5 unfinished videos")
    assert for_many.text == refusal.text + "\n\n(This answers your last 25 messages.)"
    assert await sync_to_async(Generation.objects.claim_next)(WORKER) != []
    [status] = await house.say("a dog", BOB)
    assert status.text == "Queued, 1 of 5"
    [served] = await sync_to_async(Generation.objects.claim_next)(WORKER)
    assert served.prompt == "a dog"


async def test_somebody_else_is_answered_at_once_while_one_person_floods_the_bot(
    telegram: Simulator, house: House
) -> None:
    """With Telegram's real limits: a chat hears one message a second, so the flood takes a while to answer."""
    limited = application.build()
    async with limited:
        for number in range(60):
            telegram.say(ALICE, f"cat {number}")
        telegram.say(BOB, "a dog")
        await house.fetch()
        consumer = Consumer(limited, "bot 2")
        flood = asyncio.create_task(consumer.run_once())
        try:
            await telegram.until(lambda: telegram.bot_messages(BOB), 5)
            assert len(telegram.bot_messages(ALICE)) < 10
        finally:
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
            await consumer.speaker.finish(0)


async def test_a_person_with_half_a_name_or_none_is_called_by_what_there_is(house: House) -> None:
    people = [
        {"first_name": "Ann", "last_name": None},
        {"first_name": "Ann", "last_name": "Lee", "username": "annlee"},
        {"first_name": ""},
    ]
    for number, names in enumerate(people, start=1):
        given = {name: value for name, value in names.items() if value is not None}
        person = {"id": 2**40 + number, "is_bot": False, **given}
        await house.inject(base(number, text="a cat", **{"from": person}))
    rows = await sync_to_async(list)(Requester.objects.order_by("user_id"))
    assert [str(row) for row in rows] == ["Ann", "Ann Lee", str(2**40 + 3)]


async def test_an_old_press_of_a_button_is_taken_and_does_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """One left over from another program of the same bot must not confuse this one, twice not either."""
    [status] = await house.say("a cat")
    press = {
        "id": "1",
        "from": {"id": ALICE, "is_bot": False, "first_name": "Alice"},
        "message": base(1)["message"] | {"message_id": status.id},
        "chat_instance": "1",
        "data": "again",
    }
    with caplog.at_level(logging.WARNING):
        await house.inject({"update_id": 10**6, "callback_query": press})
        await house.inject({"update_id": 10**6 + 1, "callback_query": press})
    assert len(await jobs()) == 1
    assert len(house.telegram.bot_messages(ALICE)) == 1
    assert caplog.text == ""


# --- what an idle or dead worker leaves to the bot


async def test_a_job_whose_worker_is_dead_and_gone_is_told_by_the_bot_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker is started again: the process with the sweep in it is the bot."""
    await house.say("a cat")
    row = await job()
    await sync_to_async(row.start)("dead")
    await change(row, worker_deaths=1, lease_until="2026-01-01T00:00Z")
    monkeypatch.setattr("generations.sweep.CLOCK_JUMP", 0.2)
    monkeypatch.setattr(process, "SWEEP_SECONDS", 0.2)
    stop = asyncio.Event()
    bot = asyncio.create_task(process.run_bot(stop))
    try:
        told = "stopped the machine twice"
        await house.telegram.until(lambda: told in house.telegram.bot_messages(ALICE)[-1].text, 15)
    finally:
        stop.set()
        await bot
    assert (await job()).status == Status.FAILED
