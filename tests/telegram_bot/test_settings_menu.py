"""/settings: a menu of buttons that everybody has for themselves, and that offers only what may be chosen today."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from generations.engine.card import DEMO_MODEL
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House, job, jobs, set_policy
from tests.telegram_bot.pressing import labels, last, press

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

INTRODUCTION = "Your settings. They count for every prompt that does not say otherwise itself.\n\n"
LOUD = "\nResults: may ring (default)\nAnnouncements: wanted (default)"
DEFAULTS = "Preset: exact (default)\nShape: 1:1 (default)\nLength: 2 s (default)" + LOUD
SOUND = ["✓ may ring", "always silent"]
NEWS = ["✓ wanted", "not wanted"]
SHAPES = [["✓ 1:1", "16:9", "9:16", "4:3"], ["3:4", "3:2", "2:3", "21:9"]]


@pytest.fixture(autouse=True)
def large_model(settings: LazySettings) -> None:
    """The real model's card; its weights are never looked at."""
    settings.MODEL = "iic/text-to-video-synthesis"


async def test_the_menu_shows_what_is_set_and_what_may_be(house: House) -> None:
    [menu] = await house.say("/settings")
    assert menu.text == INTRODUCTION + DEFAULTS
    assert labels(menu) == [
        ["✓ exact", "balanced", "fast", "draft"],
        *SHAPES,
        ["1 s", "✓ 2 s", "3 s", "4 s"],
        SOUND,
        NEWS,
    ]


async def test_what_is_pressed_counts_for_the_next_prompts_until_all_is_as_default_again(house: House) -> None:
    [menu] = await house.say("/settings")
    for button in ("draft", "16:9", "3 s"):
        assert await press(house, menu, button) == "Saved."
    menu = last(house)
    assert menu.text == INTRODUCTION + "Preset: draft\nShape: 16:9\nLength: 3 s" + LOUD
    assert labels(menu) == [
        ["exact", "balanced", "fast", "✓ draft"],
        ["1:1", "✓ 16:9", "9:16", "4:3"],
        SHAPES[1],
        ["1 s", "2 s", "✓ 3 s", "4 s"],
        SOUND,
        NEWS,
        ["All as default"],
    ]
    await house.say("a red car")
    row = await job()
    assert (row.preset, row.steps, row.width, row.height, row.frames) == ("draft", 10, 344, 192, 24)

    assert await press(house, menu, "All as default") == "Saved."
    assert house.telegram.bot_messages(ALICE)[0].text == INTRODUCTION + DEFAULTS
    await house.say("a blue car")
    row = (await jobs())[-1]
    assert (row.preset, row.width, row.frames) == ("exact", 256, 16)


async def test_a_flag_wins_over_a_setting(house: House) -> None:
    [menu] = await house.say("/settings")
    await press(house, menu, "draft")
    await press(house, menu, "16:9")
    await house.say("a red car --preset fast --ar 9:16")
    row = await job()
    assert (row.preset, row.width, row.height) == ("fast", 192, 344)


async def test_settings_survive_a_restart_and_an_old_menu_still_works(house: House) -> None:
    [menu] = await house.say("/settings")
    await press(house, menu, "draft")
    house.restart()
    assert await press(house, menu, "16:9") == "Saved."
    again = (await house.say("/settings"))[-1]
    assert again.text == INTRODUCTION + "Preset: draft\nShape: 16:9\nLength: 2 s (default)" + LOUD


async def test_pressed_twice_it_is_set_once(house: House) -> None:
    [menu] = await house.say("/settings")
    assert await press(house, menu, "draft", times=2) == "Saved."
    [menu] = house.telegram.bot_messages(ALICE)
    assert menu.text == INTRODUCTION + "Preset: draft\nShape: 1:1 (default)\nLength: 2 s (default)" + LOUD


async def test_nobody_sets_anything_for_another(house: House) -> None:
    await house.say("/settings", GROUP, user_id=ALICE)
    menu = last(house, GROUP)
    toast = await press(house, menu, "draft", chat_id=GROUP, user_id=BOB)
    assert toast == "Only the person who asked for this can use its buttons."
    assert last(house, GROUP) == menu
    for person in (ALICE, BOB):
        await house.say("a red car", person)
    assert [row.preset for row in await jobs()] == ["exact", "exact"]


async def test_what_the_policy_took_away_is_the_default_again_and_the_menu_shows_it(house: House) -> None:
    [menu] = await house.say("/settings")
    for button in ("draft", "16:9", "4 s"):
        await press(house, menu, button)
    old = last(house)
    await set_policy(presets=["exact", "fast"], max_frames=16)
    await house.say("a red car")
    row = await job()
    assert (row.preset, row.width, row.height, row.frames) == ("exact", 344, 192, 16)

    assert await press(house, old, "balanced") == "That is not on offer any more."
    menu = house.telegram.bot_messages(ALICE)[0]
    assert menu.text == INTRODUCTION + "Preset: exact (default)\nShape: 16:9\nLength: 2 s (default)" + LOUD
    assert labels(menu) == [
        ["✓ exact", "fast"],
        ["1:1", "✓ 16:9", "9:16", "4:3"],
        SHAPES[1],
        ["1 s", "✓ 2 s"],
        SOUND,
        NEWS,
        ["All as default"],
    ]


async def test_a_model_of_one_size_and_length_offers_what_is_left(house: House, settings: LazySettings) -> None:
    settings.MODEL = str(DEMO_MODEL)
    [menu] = await house.say("/settings")
    assert menu.text == INTRODUCTION + DEFAULTS
    assert labels(menu) == [["✓ exact", "balanced", "fast", "draft"], SOUND, NEWS]
    await set_policy(presets=["exact"])
    menu = (await house.say("/settings"))[-1]
    assert labels(menu) == [SOUND, NEWS]


async def test_a_model_that_cannot_be_read_is_said_so(house: House, settings: LazySettings, tmp_path: object) -> None:
    [menu] = await house.say("/settings")
    open(f"{tmp_path}/configuration.json", "w").close()
    settings.MODEL = str(tmp_path)
    assert (await house.say("/settings"))[-1].text == "The video model is not available right now."
    assert await press(house, menu, "draft") == "The video model is not available right now."


@pytest.mark.parametrize(
    "data", ["settings", "settings:1001", "settings:1001:preset", "settings:1001:preset:quick", "settings:1001:notes:x"]
)
async def test_a_button_that_was_made_up_changes_nothing(house: House, data: str) -> None:
    [menu] = await house.say("/settings")
    query = {"id": "1", "from": {"id": ALICE, "is_bot": False, "first_name": "A"}, "chat_instance": "1", "data": data}
    await house.inject({"update_id": 9_000_000, "callback_query": {**query, "message": menu.data}})
    [menu] = house.telegram.bot_messages(ALICE)
    assert menu.text == INTRODUCTION + DEFAULTS
