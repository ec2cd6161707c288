"""/start and /hello: the greeting."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from generations.models import DEFAULT_GREETING
from tests.telegram_bot.conftest import ALICE, GROUP, House, base, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("command", ["/start", "/hello", "/START", "/start payload", "/start@simulator_bot"])
async def test_a_greeting_answers_the_command_as_a_reply(house: House, command: str) -> None:
    [greeting] = await house.say(command)
    assert greeting.text.startswith(DEFAULT_GREETING)
    assert greeting.reply_to == house.telegram.messages(ALICE)[0].id
    assert await jobs() == []


async def test_the_operator_can_change_the_greeting_while_the_bot_runs(house: House) -> None:
    await set_policy(greeting="Welcome to the *studio*_")
    [greeting] = await house.say("/hello")
    assert greeting.text.startswith("Welcome to the *studio*_\n")


async def test_the_greeting_says_what_the_model_draws_and_gives_examples(house: House, settings: LazySettings) -> None:
    settings.MODEL = "iic/text-to-video-synthesis"
    [greeting] = await house.say("/start")
    assert "It understands English only." in greeting.text
    assert "• An astronaut riding a horse.\n" in greeting.text
    assert greeting.text.count("•") == 3


async def test_a_command_that_nothing_marked_is_a_command_all_the_same(house: House) -> None:
    [greeting] = await house.inject(base(text="/start"))
    assert greeting.text.startswith(DEFAULT_GREETING)
    assert await jobs() == []


async def test_in_a_group_only_our_command_is_answered(house: House) -> None:
    assert await house.say("/start@another_bot", GROUP, user_id=ALICE) == []
    [greeting] = await house.say("/start@simulator_bot", GROUP, user_id=ALICE)
    assert greeting.text.startswith(DEFAULT_GREETING)


async def test_a_mistyped_command_is_no_prompt_but_gets_the_list(house: House) -> None:
    [hint] = await house.say("/strat")
    assert hint.text.splitlines()[0] == "I do not know that command. There are:"
    assert "/video: Make a video from the text that follows" in hint.text
    assert await jobs() == []
