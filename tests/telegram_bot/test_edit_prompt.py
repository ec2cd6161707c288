"""Row 10: other words for the same clip, by a reply to it. Its seed and settings stay."""

from __future__ import annotations

from dataclasses import replace

from telegram_bot import texts

from .conftest import ALICE, BOB, GROUP, Finish, House, change, jobs, set_policy
from .pressing import last, press, video


async def test_the_button_says_how(house: House, render: Finish) -> None:
    await video(house, render)
    assert await press(house, last(house), "Edit prompt") == texts.edit_how()
    assert len(await jobs()) == 1


async def test_a_reply_to_a_video_keeps_its_seed_and_settings(house: House, render: Finish) -> None:
    first = await video(house, render, "a red circle --steps 21 --no text --seed 7")
    await house.say("a blue circle", reply_to=last(house).id)
    second = (await jobs())[-1]
    assert second.spec() == replace(first.spec(), prompt="a blue circle")
    assert (second.seed, second.steps, second.negative_prompt) == (7, 21, "text")
    assert second.parent_id == first.pk


async def test_flags_in_the_new_words_win(house: House, render: Finish) -> None:
    await video(house, render, "a red circle --guidance 5 --seed 7")
    await house.say("a red circle --seed 8 --preset balanced", reply_to=last(house).id)
    first, second = await jobs()
    assert (second.seed, second.preset, second.guidance_scale) == (8, "balanced", 5.0)
    # Those of the preset, not of the video that is answered.
    assert second.steps != first.steps


async def test_a_preset_that_is_no_longer_offered_gives_way_to_the_default(house: House, render: Finish) -> None:
    first = await video(house, render)
    await change(first, preset="fast", steps=9)
    await set_policy(presets=["exact"], default_preset="exact")
    await house.say("a blue circle", reply_to=last(house).id)
    second = (await jobs())[-1]
    assert (second.preset, second.seed) == ("exact", first.seed)
    assert second.steps != 9


async def test_a_reply_to_another_persons_video_is_a_prompt_of_its_own(house: House, render: Finish) -> None:
    first = await video(house, render, "/video a red circle", GROUP)
    shown = last(house, GROUP)
    await house.say("a blue circle", GROUP, user_id=BOB, reply_to=shown.id)
    bobs = (await jobs())[-1]
    assert (bobs.requester.user_id, bobs.prompt, bobs.parent_id) == (BOB, "a blue circle", None)
    assert bobs.seed != first.seed
    await house.say("a green circle", GROUP, user_id=ALICE, reply_to=shown.id)
    alices = (await jobs())[-1]
    assert (alices.parent_id, alices.seed) == (first.pk, first.seed)


async def test_a_reply_to_a_copy_from_the_history_counts_as_well(house: House, render: Finish) -> None:
    first = await video(house, render)
    [shown] = house.telegram.bot_messages(ALICE)
    await press(house, (await house.say("/history"))[-1], f"show:{first.pk}")
    copy = last(house)
    assert (copy.kind, copy.id != shown.id) == ("video", True)
    await house.say("a blue circle", reply_to=copy.id)
    second = (await jobs())[-1]
    assert (second.parent_id, second.seed, second.prompt) == (first.pk, first.seed, "a blue circle")


async def test_a_reply_to_a_video_without_its_buttons_counts_as_well(house: House, render: Finish) -> None:
    first = await video(house, render)
    await house.application.bot.edit_message_reply_markup(ALICE, last(house).id)
    await house.say("a blue circle", reply_to=last(house).id)
    assert (await jobs())[-1].parent_id == first.pk


async def test_a_reply_to_a_status_message_is_a_prompt_of_its_own(house: House) -> None:
    [status] = await house.say("a red circle")
    await house.say("a blue circle", reply_to=status.id)
    assert [row.parent_id for row in await jobs()] == [None, None]


async def test_a_reply_to_words_of_the_bot_is_what_it_always_was(house: House) -> None:
    await house.say("/start")
    await house.say("a blue circle", reply_to=last(house).id)
    [row] = await jobs()
    assert (row.prompt, row.parent_id) == ("a blue circle", None)
