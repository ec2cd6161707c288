"""What makes the bot pleasant: signs while it works, silence at night, and no chatter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations.models import Delivery, Policy
from generations.quiet import is_night
from telegram_bot import notices, reactions, texts, uploading
from telegram_bot.limiter import FloodLimiter
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, Finish, House, base, change, job, jobs, set_policy, updates
from tests.telegram_bot.pressing import last, press, video

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

TOO_MANY = (
    "You have 1 unfinished video, as many as one person may have at a time. Send this again when one of them is done."
)


# --- a sign while a video is uploaded


async def test_a_slow_upload_is_shown_above_the_chat_in_its_topic(
    house: House, render: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "PATIENCE", 0.05)
    house.telegram.say(ALICE, "a cat")
    await house.receive()
    row = await render()
    await change(row, thread_id=7)
    house.telegram.hang("editMessageMedia", seconds=0.5)
    await house.deliver()
    [sign] = house.telegram.calls("sendChatAction")
    assert (sign.chat_id, sign.params["action"], sign.params["message_thread_id"]) == (ALICE, "upload_video", "7")
    assert last(house).kind == "video"


async def test_a_quick_upload_costs_no_call_more(house: House, render: Finish) -> None:
    await house.say("a cat")
    await render()
    await house.deliver()
    assert last(house).kind == "video"
    assert house.telegram.calls("sendChatAction") == []


async def test_a_sign_that_is_not_wanted_does_not_hold_up_the_video(
    house: House, render: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "PATIENCE", 0.0)
    await house.say("a cat")
    await render()
    house.telegram.hang("editMessageMedia", seconds=0.3)
    house.telegram.fail("sendChatAction", 429, retry_after=60)
    await house.deliver()
    assert last(house).kind == "video"
    assert (await job()).delivery == Delivery.DELIVERED


async def test_a_file_that_takes_long_is_shown_as_a_file(
    house: House, render: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    await video(house, render)
    monkeypatch.setattr(uploading, "PATIENCE", 0.05)
    house.telegram.hang("sendDocument", seconds=0.3)
    await press(house, last(house), "As file")
    assert [sign.params["action"] for sign in house.telegram.calls("sendChatAction")] == ["upload_document"]
    assert last(house).kind == "document"


# --- a reaction to an accepted prompt


async def reacted(house: House) -> list[tuple[Any, ...]]:
    await house.consumer.speaker.reactions.shown()
    calls = house.telegram.calls("setMessageReaction")
    return [(call.chat_id, int(call.params["message_id"])) for call in calls]


async def test_an_accepted_prompt_gets_eyes_where_operators_want_that(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactions, "PAUSE", 0.0)
    await house.say("a cat")
    assert await reacted(house) == []
    await set_policy(reactions=True)
    house.telegram.say(ALICE, "a dog")
    await house.receive()
    [_, _, prompt, _] = house.telegram.messages(ALICE)
    assert await reacted(house) == [(ALICE, prompt.id)]
    assert [reaction["emoji"] for reaction in prompt.reactions] == ["👀"]
    # A button, and what is no prompt, get none.
    await press(house, last(house), "Cancel")
    await house.say("/help")
    assert len(await reacted(house)) == 1


async def test_a_chat_that_allows_no_reactions_is_asked_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "PAUSE", 0.0)
    await set_policy(reactions=True)
    refused = "Bad Request: REACTION_INVALID"
    house.telegram.fail("setMessageReaction", 400, description=refused, chat_id=GROUP, times=-1)
    for number in range(2):
        await house.say(f"/video cat {number}", GROUP, user_id=ALICE)
        await reacted(house)
    await house.say("a dog")
    assert [chat for chat, _ in await reacted(house)] == [GROUP, ALICE]
    assert len(await jobs()) == 3


async def test_a_reaction_waits_for_no_turn(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chat's turn of this second went to the answer, so the reaction does not happen at all."""
    monkeypatch.setattr(reactions, "PAUSE", 0.0)
    await set_policy(reactions=True)
    monkeypatch.setattr(house.application.bot, "_rate_limiter", FloodLimiter(private_chat=(1, 60.0)))
    await house.say("a cat")
    assert await reacted(house) == []
    assert last(house).text == "Queued, 1 of 1"


# --- silence


@pytest.mark.parametrize(
    ("begin", "end", "silent"),
    [
        (22, 7, {22, 23, 0, 6}),
        (1, 3, {1, 2}),
        (0, 0, set(range(24))),
        (None, None, set()),
        (22, None, set()),
    ],
)
def test_the_night_has_a_beginning_and_an_end(begin: int | None, end: int | None, silent: set[int]) -> None:
    policy = Policy(quiet_from=begin, quiet_until=end)
    hours = {hour for hour in range(24) if is_night(hour, policy)}
    assert hours >= silent
    if begin == 22 and end == 7:
        assert hours == {22, 23, *range(7)}
    else:
        assert hours == silent


async def rings(house: House) -> list[bool]:
    """Of each message that brought or announced a result."""
    calls = house.telegram.calls("sendVideo") + house.telegram.calls("sendMessage")
    told = [call for call in calls if call.method == "sendVideo" or call.params["text"] == texts.ready()]
    return [str(call.params.get("disable_notification", "false")).lower() == "false" for call in told]


async def results(house: House, render: Finish) -> None:
    """One as a new message, and one that took long and is rung for."""
    for message_id in (None, 0):
        await house.say("a cat")
        row = await render()
        changes: dict[str, Any] = {"created_at": timezone.now() - timedelta(hours=1)}
        if message_id is None:
            changes["status_message_id"] = None
        await change(row, **changes)
        await house.deliver()


async def test_results_of_the_night_ring_nobody(house: House, render: Finish) -> None:
    hour = timezone.localtime().hour
    await set_policy(quiet_from=(hour - 1) % 24, quiet_until=(hour + 2) % 24)
    await results(house, render)
    assert await rings(house) == [False, False]
    await set_policy(quiet_from=(hour + 2) % 24, quiet_until=(hour + 3) % 24)
    await results(house, render)
    assert await rings(house) == [False, True, False, True]


async def test_whoever_wants_silence_always_has_it(house: House, render: Finish) -> None:
    menu = (await house.say("/settings"))[-1]
    assert await press(house, menu, "always silent") == "Saved."
    assert "\nResults: always silent" in last(house).text
    await results(house, render)
    assert await rings(house) == [False, False]
    await press(house, menu, "All as default")
    await results(house, render)
    assert await rings(house) == [False, True, False, True]


# --- refusals in a flood


async def test_refusals_of_one_minute_are_one_message_that_says_how_many(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_policy(waiting_limit=1)
    await house.say("the first")
    for number in range(30):
        await house.say(f"cat {number}")
    [_, refusal] = house.telegram.bot_messages(ALICE)
    assert refusal.text == texts.for_several(TOO_MANY, 30)
    assert all(update.handled_at and not update.error for update in await updates())
    # In the next minute there is a new one.
    monkeypatch.setattr(notices, "SECONDS", 0.0)
    await house.say("one more")
    assert [message.text for message in house.telegram.bot_messages(ALICE)[2:]] == [TOO_MANY]


async def test_another_answer_in_between_ends_a_notice(house: House) -> None:
    await set_policy(waiting_limit=1)
    for text in ("a cat", "a dog", "a bird", "/nonsense", "a fish"):
        await house.say(text)
    assert [message.text for message in house.telegram.bot_messages(ALICE)[1:]] == [
        texts.for_several(TOO_MANY, 2),
        texts.commands(),
        TOO_MANY,
    ]


async def test_a_notice_that_was_deleted_is_said_anew(house: House) -> None:
    await set_policy(waiting_limit=1)
    await house.say("a cat")
    [_, refusal] = await house.say("a dog")
    house.telegram.delete(ALICE, refusal.id)
    assert (await house.say("a bird"))[-1].text == TOO_MANY


async def test_notices_in_a_group_are_for_each_person(house: House) -> None:
    await set_policy(waiting_limit=1)
    for person in (ALICE, BOB) * 3:
        await house.say("/video a cat", GROUP, user_id=person)
    said = [message.text for message in house.telegram.bot_messages(GROUP)]
    assert sorted(text for text in said if text.startswith("You have")) == [texts.for_several(TOO_MANY, 2)] * 2


async def test_a_lost_answer_to_a_notice_is_repeated_and_counts_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telegram_bot.speaker.RETRY_SECONDS", 0.0)
    await set_policy(waiting_limit=1)
    for text in ("a cat", "a dog"):
        await house.say(text)
    house.telegram.drop_reply("editMessageText")
    await house.say("a bird")
    await house.consumer.run_once()
    assert last(house).text == texts.for_several(TOO_MANY, 2)


# --- edited prompts


def told(house: House) -> list[str]:
    return [message.text for message in house.telegram.bot_messages(ALICE)]


async def edit(house: House, message_id: int, text: str) -> list[str]:
    house.telegram.edit(ALICE, message_id, text)
    await house.receive()
    return told(house)


NOT_YET = "An edited message does not change its video by itself. It is not begun yet:"
TOO_LATE = "An edited message does not change its video. Reply to the video with the new words instead."


async def test_an_edited_prompt_is_explained_once_and_its_new_words_can_be_used(house: House) -> None:
    await house.say("a cat --seed 7 x2")
    await edit(house, 1, "a dog --seed 8")
    await edit(house, 1, "a bird --seed 9")
    assert told(house)[1:] == [NOT_YET]
    note = last(house)
    assert note.reply_to == 1
    assert await press(house, note, "Use the new words", times=2) == "It is in the queue."
    assert [(row.prompt, row.seed, row.status) for row in await jobs()] == [
        ("a cat", 7, "cancelled"),
        ("a cat", 8, "cancelled"),
        ("a bird", 9, "queued"),
    ]
    assert told(house)[2:] == ["Queued, 1 of 1"]
    await house.deliver()
    assert told(house)[0] == "This video was cancelled."


async def test_new_words_that_are_refused_cancel_nothing(house: House) -> None:
    await house.say("a cat")
    await edit(house, 1, "a dog --steps 0")
    toast = await press(house, last(house), "Use the new words")
    assert toast.startswith("--steps must be a whole number")
    assert [row.status for row in await jobs()] == ["queued"]


async def test_a_prompt_that_is_begun_keeps_its_words(house: House, render: Finish) -> None:
    await house.say("a cat")
    await edit(house, 1, "a dog")
    note = last(house)
    await render()
    assert (
        await press(house, note, "Use the new words")
        == "It is too late for that. Reply to the video with the new words."
    )
    await house.say("a bird")
    await render()
    await house.deliver()
    await edit(house, house.telegram.messages(ALICE)[3].id, "a fish")
    assert told(house)[-1] == TOO_LATE
    assert [row.prompt for row in await jobs()] == ["a cat", "a bird"]


async def test_nobody_uses_anothers_new_words(house: House) -> None:
    await house.say("a cat")
    await edit(house, 1, "a dog")
    toast = await press(house, last(house), "Use the new words", user_id=BOB)
    assert toast == "Only the person who asked for this can use its buttons."
    assert len(await jobs()) == 1


async def test_an_edit_of_anything_else_is_silent(house: House) -> None:
    await set_policy(waiting_limit=1)
    for text in ("/help", "a cat", "refused"):
        await house.say(text)
    before = told(house)
    for message in house.telegram.messages(ALICE):
        if not message.from_bot:
            text = "a cat" if message.text == "a cat" else "other words"
            assert await edit(house, message.id, text) == before
    assert len(await jobs()) == 1


async def test_in_a_group_an_edited_prompt_is_explained_when_it_is_addressed(house: House) -> None:
    await house.say("/video a cat", GROUP, user_id=ALICE)
    for text in ("no longer for the bot", "/video a dog"):
        house.telegram.edit(GROUP, 1, text)
        await house.receive()
    assert [message.text for message in house.telegram.bot_messages(GROUP)][1:] == [TOO_LATE]


# --- albums, and what nobody wrote

PHOTO = [{"file_id": "a", "file_unique_id": "b", "width": 90, "height": 90}]


@pytest.mark.parametrize("apart", [False, True])
async def test_an_album_is_answered_in_one_line(house: House, apart: bool) -> None:
    for number in range(1, 6):
        house.telegram.inject(base(number, photo=PHOTO, media_group_id="77"))
        if apart:
            await house.receive()
    await house.receive()
    assert told(house) == [texts.send_text()]
    await house.inject(base(6, photo=PHOTO, media_group_id="78"))
    assert told(house) == [texts.send_text()] * 2


async def test_the_caption_of_an_album_is_a_prompt_and_the_only_thing_that_is_answered(house: House) -> None:
    for number in range(1, 4):
        caption = {"caption": "a cat"} if number == 2 else {}
        house.telegram.inject(base(number, photo=PHOTO, media_group_id="77", **caption))
    await house.receive()
    assert told(house) == ["Queued, 1 of 1"]
    assert (await job()).prompt == "a cat"
