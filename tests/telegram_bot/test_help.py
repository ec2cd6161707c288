"""/help: what to type, what the model can and cannot do, its licence, and examples that are submitted when tapped."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import LazySettings

from generations import services
from telegram_bot import commands, texts
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House, jobs, set_policy
from tests.telegram_bot.pressing import labels, last, press, toasts

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

DEMO_EXAMPLE = "a red circle moving right"


async def test_help_says_what_to_type_and_what_the_demo_model_draws(house: House) -> None:
    [guide] = await house.say("/help")
    assert guide.text.startswith("Write what the video should show, and you get a short video of it.")
    assert "One flat shape on a black, white, gray or navy background" in guide.text
    assert "watermark" not in guide.text, "that is another model's habit"
    assert "The model is demo model: moving shapes, its licence MIT." in guide.text
    for name in texts.COMMANDS:
        assert f"\n/{name}: " in guide.text


def test_every_command_that_people_are_told_of_is_answered_and_every_answer_is_told_of() -> None:
    assert set(texts.COMMANDS) == {"start", "hello", "video", *commands.COMMANDS} - commands.FOR_OPERATORS


async def test_help_says_what_the_real_model_cannot_do(house: House, settings: LazySettings) -> None:
    settings.MODEL = "iic/text-to-video-synthesis"
    [guide] = await house.say("/help")
    assert "about two seconds. It understands English only. There is no sound" in guide.text
    assert "a watermark of stock photos" in guide.text
    assert "CC-BY-NC-4.0, for research and non-commercial use only" in guide.text
    assert [label for [label] in labels(guide)] == list(services.model_card().examples)


async def test_help_names_only_flags_that_change_something_here(house: House, settings: LazySettings) -> None:
    [guide] = await house.say("/help")
    assert "\n--seed 7: " in guide.text
    assert "--ar" not in guide.text, "the demo model has one size"
    assert "--seconds" not in guide.text
    settings.MODEL = "iic/text-to-video-synthesis"
    await set_policy(presets=["exact"])
    text = (await house.say("/help"))[-1].text
    assert "\n--ar " in text
    assert "\n--seconds " in text
    assert "--preset" not in text, "there is nothing to choose"


async def test_the_flags_that_help_names_are_understood(house: House) -> None:
    await house.say("a red circle --seed 7 --no text, blur x2")
    assert [(row.prompt, row.negative_prompt) for row in await jobs()] == [("a red circle", "text, blur")] * 2


async def test_a_tapped_example_is_a_prompt_of_whoever_tapped(house: House) -> None:
    await house.say("/help", GROUP, user_id=ALICE)
    guide = last(house, GROUP)
    assert await press(house, guide, DEMO_EXAMPLE, chat_id=GROUP, user_id=BOB) == "It is in the queue."
    [row] = await jobs()
    assert (row.prompt, row.requester.user_id, row.chat_id) == (DEMO_EXAMPLE, BOB, GROUP)
    status = last(house, GROUP)
    assert (status.text, status.reply_to, row.status_message_id) == ("Queued, 1 of 1", guide.id, status.id)


async def test_an_example_that_is_tapped_twice_is_made_once(house: House) -> None:
    [guide] = await house.say("/help")
    await press(house, guide, DEMO_EXAMPLE, times=2)
    assert sorted(toasts(house.telegram)) == ["It is in the queue.", "That is on its way already."]
    assert len(await jobs()) == 1


async def test_a_tapped_example_counts_against_the_limits(house: House) -> None:
    await set_policy(waiting_limit=1)
    await house.say("a blue square")
    guide = (await house.say("/help"))[-1]
    toast = await press(house, guide, DEMO_EXAMPLE)
    assert toast.startswith("You have 1 unfinished video, as many as one person may have at a time.")
    assert len(await jobs()) == 1


async def test_an_example_of_an_earlier_model_is_no_longer_made(house: House, settings: LazySettings) -> None:
    [guide] = await house.say("/help")
    settings.MODEL = "iic/text-to-video-synthesis"
    assert await press(house, guide, DEMO_EXAMPLE) == "This button no longer does anything."
    assert await jobs() == []


async def test_help_works_while_the_model_cannot_be_read(house: House, settings: LazySettings, tmp_path: Path) -> None:
    (tmp_path / "configuration.json").write_text("{")
    settings.MODEL = str(tmp_path)
    [guide] = await house.say("/help")
    assert "\n/status: " in guide.text
    assert "examples" not in guide.text.splitlines()[0]
    assert guide.buttons == []
