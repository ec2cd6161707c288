"""Styles: the operators' words around a prompt, chosen with a flag or in /settings. The row keeps what was typed."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings

from generations.models import Style
from tests.telegram_bot.conftest import ALICE, Finish, House, job, jobs
from tests.telegram_bot.pressing import labels, last, press, video

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

NOIR = "black and white film noir, {prompt}, hard shadows"


@pytest.fixture(autouse=True)
def large_model(settings: LazySettings) -> None:
    settings.MODEL = "iic/text-to-video-synthesis"


@sync_to_async
def offer(name: str = "noir", **facts: Any) -> None:
    facts = {"label": name.title(), "words": NOIR, "negative": "color", "enabled": True, **facts}
    Style.objects.update_or_create(name=name, defaults=facts)


async def test_a_style_adds_its_words_and_the_row_keeps_what_was_typed(house: House, render: Finish) -> None:
    await offer()
    await house.say("a {prompt} cat --style Noir --no text --seed 7")
    row = await job()
    assert (row.prompt, row.negative_prompt, row.style) == ("a {prompt} cat", "text", "noir")
    spec = row.spec()
    assert spec.prompt == "black and white film noir, a {prompt} cat, hard shadows"
    assert (spec.negative_prompt, spec.seed) == ("text, color", 7)
    await render()
    await house.deliver()
    assert "a {prompt} cat\n\nSeed 7 · 64×64 · exact, 50 steps · style noir · made in" in last(house).text


async def test_without_a_style_the_model_reads_the_prompt_unchanged(house: House) -> None:
    await offer()
    await house.say("a cat --no text")
    row = await job()
    assert (row.style, row.spec().prompt, row.spec().negative_prompt) == ("", "a cat", "text")


async def test_a_style_that_there_is_not_gets_those_that_there_are(house: House) -> None:
    assert (await house.say("a cat --style noir"))[-1].text == "--style: there is nothing to choose from here."
    await offer("clay", position=2)
    await offer("anime", position=1)
    await offer("noir", enabled=False)
    assert (await house.say("a cat --style noir"))[-1].text == "--style must be anime, clay or none, not noir."
    assert (await house.say("a cat --style"))[-1].text == "--style needs a value."
    assert (await house.say("a cat --stile clay"))[-1].text == "There is no flag --stile. Did you mean --style?"
    assert await jobs() == []


async def test_the_same_seed_and_other_words_keep_the_style_of_that_day(house: House, render: Finish) -> None:
    await offer()
    first = await video(house, render, "a cat --style noir")
    await offer(words="{prompt}, in a later taste", enabled=False)
    result = last(house)
    await press(house, result, "Same seed")
    await press(house, result, "Again")
    await house.say("a dog", reply_to=result.id)
    await house.say("a dog --style none", reply_to=result.id)
    same, again, reworded, plain = (await jobs())[1:]
    assert same.spec() == first.spec()
    assert (again.spec().prompt, again.seed != first.seed) == (first.spec().prompt, True)
    assert (reworded.prompt, reworded.style) == ("a dog", "noir")
    assert reworded.spec().prompt == "black and white film noir, a dog, hard shadows"
    assert (plain.style, plain.spec().prompt, plain.seed) == ("", "a dog", first.seed)


async def test_a_style_of_ones_own_counts_until_a_prompt_says_otherwise(house: House) -> None:
    assert "Style" not in (await house.say("/settings"))[-1].text
    await offer("noir", label="Film noir")
    menu = (await house.say("/settings"))[-1]
    assert "\nStyle: none (default)\n" in menu.text
    assert ["Film noir", "✓ none"] in labels(menu)
    assert await press(house, menu, "Film noir") == "Saved."
    menu = house.telegram.bot_messages(ALICE)[-1]
    assert "\nStyle: Film noir\n" in menu.text
    for prompt in ("a cat", "a dog --style none", "a bird x2"):
        await house.say(prompt)
    assert [row.style for row in await jobs()] == ["noir", "", "noir", "noir"]
    await press(house, menu, "none")
    await house.say("a fish")
    assert (await jobs())[-1].style == ""


async def test_a_style_of_ones_own_that_is_gone_is_none_again(house: House) -> None:
    await offer()
    menu = (await house.say("/settings"))[-1]
    await press(house, menu, "Noir")
    await offer(enabled=False)
    await house.say("a cat")
    assert (await job()).style == ""
    await offer("clay")
    assert await press(house, menu, "✓ Noir") == "That is not on offer any more."


async def test_help_names_the_styles_when_there_are_any(house: House) -> None:
    assert "--style" not in (await house.say("/help"))[-1].text
    await offer("noir")
    await offer("anime", position=1)
    assert "\n--style noir: the style: noir, anime or none\n" in (await house.say("/help"))[-1].text
