"""Flags typed in the chat: they reach the model, the caption repeats them, and a slip is told what would be right."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from generations.engine.card import DEMO_MODEL, PROBLEMS, InvalidSpec
from telegram_bot import texts
from telegram_bot.captions import utf16_length
from tests.telegram_bot.conftest import ALICE, GROUP, Finish, House, base, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

ALL = "--seed 7 --ar 16:9 --frames 24 --steps 30 --no text, watermark --preset balanced --guidance 12 --fps 12"
FLAGS = "--seed, --ar, --size, --frames, --seconds, --fps, --steps, --guidance, --no, --preset or --style"


@pytest.fixture(autouse=True)
def large_model(settings: LazySettings) -> None:
    """The real model's card; its weights are never looked at."""
    settings.MODEL = "iic/text-to-video-synthesis"


async def test_flags_decide_how_a_video_is_made_and_its_caption_says_them(house: House, render: Finish) -> None:
    [status] = await house.say(f"a red car {ALL}")
    assert status.text == "Queued, 1 of 1"
    [row] = await jobs()
    assert (row.prompt, row.negative_prompt, row.seed) == ("a red car", "text, watermark", 7)
    assert (row.width, row.height, row.frames, row.fps) == (344, 192, 24, 12)
    assert (row.preset, row.steps, row.guidance_scale) == ("balanced", 30, 12)
    await render(row)
    await house.deliver()
    [video] = house.telegram.bot_messages(ALICE)
    assert video.text.startswith(
        "a red car\n\nSeed 7 · 64×64 · balanced, 30 steps · 24 frames · 12 per second · guidance 12 · made in 12 s\n"
        "Without: text, watermark"
    )


async def test_a_caption_says_no_more_than_what_is_unusual(house: House, render: Finish) -> None:
    await house.say("a red car --seed 7")
    await render()
    await house.deliver()
    [video] = house.telegram.bot_messages(ALICE)
    assert video.text.startswith("a red car\n\nSeed 7 · 64×64 · exact, 50 steps · made in 12 s")
    assert "Without" not in video.text


async def test_a_caption_with_everything_fits(house: House, render: Finish) -> None:
    await set_policy(waiting_limit=1)
    await house.say(f"{'a' * 3000} --guidance 12 --frames 24 --no {'b' * 900} x4")
    [row] = await jobs()
    await render(row, ignored_text="c" * 900)
    await house.deliver()
    [video] = house.telegram.bot_messages(ALICE)
    assert utf16_length(video.text) <= 1024
    for part in ("aaa…\n\nSeed ", "24 frames", "Without: bbb", "did not see: ccc", "1 of the 4 videos is accepted."):
        assert part in video.text


@pytest.mark.parametrize("dash", ["--", "\u2014", "\u2013", "\u2013\u2013"])
async def test_dashes_as_phones_type_them(house: House, dash: str) -> None:
    await house.say(f"a red car {dash}seed 7 {dash}steps=30")
    [row] = await jobs()
    assert (row.prompt, row.seed, row.steps) == ("a red car", 7, 30)


@pytest.mark.parametrize("text", ["a red car -- moving fast", "a man \u2014 no hat \u2014 walking", "sci-fi--noir"])
async def test_a_dash_in_a_sentence_stays(house: House, text: str) -> None:
    await house.say(text)
    [row] = await jobs()
    assert (row.prompt, row.negative_prompt) == (text, "")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a cat --sede 7", "There is no flag --sede. Did you mean --seed?"),
        ("a cat --stylize 100", f"There is no flag --stylize. There are {FLAGS}."),
        ("a cat --seed", "--seed needs a value."),
        ("a cat --frames 33", "--frames must be a whole number from 1 to 32, not 33."),
        ("a cat --guidance hot", "--guidance must be a number from 1 to 30, not hot."),
        ("a cat --preset quick", "--preset must be exact, balanced, fast or draft, not quick."),
        ("a cat --size 65x64", "--size must be WIDTHxHEIGHT in multiples of 8 from 64x64 to 576x576, not 65x64."),
        (
            "a cat --ar wide",
            "--ar must be width:height, such as 1:1, 16:9, 9:16, 4:3, 3:4, 3:2, 2:3 or 21:9, not wide.",
        ),
        ("a cat --seconds 9", "--seconds must be a number from 0.125 to 4, not 9."),
        ("a cat --size 64x64 --ar 1:1", "--size and --ar say the same thing twice; choose one of them."),
        (
            "--seed 7 x2",
            "There are only flags here, and no text to make a video from. Put them behind your prompt.",
        ),
    ],
)
async def test_a_slip_is_answered_with_what_would_be_right(house: House, text: str, answer: str) -> None:
    [message] = await house.say(text)
    assert message.text == answer
    assert await jobs() == []


async def test_the_demo_model_says_what_it_has_only_one_of(house: House, settings: LazySettings) -> None:
    settings.MODEL = str(DEMO_MODEL)
    answers = [message.text for message in await house.say("a red circle --size 256x256")]
    assert answers == ["--size must be 64x64, not 256x256."]
    assert (await house.say("a red circle --frames 8"))[-1].text == "--frames must be 16, not 8."
    assert await jobs() == []


async def test_people_may_choose_only_what_the_policy_offers(house: House) -> None:
    await set_policy(presets=["exact", "fast"], max_frames=20)
    assert (await house.say("a cat --preset draft"))[-1].text == "--preset must be exact or fast, not draft."
    assert (await house.say("a cat --frames 21"))[-1].text == "--frames must be a whole number from 1 to 20, not 21."
    await house.say("a cat --preset fast --frames 20")
    [row] = await jobs()
    assert (row.preset, row.frames) == ("fast", 20)


async def test_several_results_arrive_as_several_videos(house: House, render: Finish) -> None:
    [status] = await house.say("a red car --seed 7 x3")
    assert status.text.startswith("Queued, 1 of 3")
    assert status.text.endswith("\n\nThis is the first of 3 videos; the others come as messages of their own.")
    for row in await jobs():
        await render(row)
    await house.deliver()
    videos = house.telegram.bot_messages(ALICE)
    assert [video.video is not None for video in videos] == [True] * 3
    assert sorted(video.text.split(" · ")[0] for video in videos) == [f"a red car\n\nSeed {seed}" for seed in (7, 8, 9)]


async def test_what_does_not_fit_of_several_is_told_at_once_and_with_the_video(house: House, render: Finish) -> None:
    await set_policy(daily_limit=2)
    [status] = await house.say("a red car x4")
    told = "2 of the 4 videos are accepted. You have used your 2 videos of today: 0 of 2 left."
    of_two = "This is the first of 2 videos; the others come as messages of their own."
    assert status.text == f"Queued, 1 of 2\n\n{told}\n\n{of_two}"
    await house.show_status()
    assert house.telegram.bot_messages(ALICE) == [status], "nothing has changed"
    first, second = await jobs()
    await render(first)
    await house.deliver()
    assert house.telegram.bot_messages(ALICE)[0].text.endswith(told)
    await render(second)
    await house.deliver()
    assert "accepted" not in house.telegram.bot_messages(ALICE)[1].text


async def test_flags_work_in_a_group_and_behind_a_command(house: House) -> None:
    await house.say("/video a red car --seed 7", GROUP, user_id=ALICE)
    [row] = await jobs()
    assert (row.prompt, row.seed) == ("a red car", 7)


@pytest.mark.parametrize(
    "text",
    [
        "z\u0337\u0321a\u0338l\u0334g\u0335o --seed 7",
        "\u202eright to left\u202c --seed 7",
        "חתול על הירח --seed 7",
        "y" * 4087 + " --seed 7",
        "<b>cat</b> *x* [y](z) `w` --seed 7",
        "👩‍🚀🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f --seed 7",
    ],
)
async def test_odd_prompts_keep_their_characters(house: House, text: str) -> None:
    await set_policy(language_note=False)
    await house.inject(base(text=text))
    [row] = await jobs()
    assert (row.prompt, row.seed) == (text.removesuffix(" --seed 7"), 7)


@pytest.mark.parametrize("text", ["--" * 2048, "--seed " * 585, "—no " * 1000, "-- x2", "--no \u202e--seed\x00 7"])
async def test_heaps_of_dashes_get_one_answer(house: House, text: str) -> None:
    assert len(await house.inject(base(text=text))) == 1


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_refusal_of_a_setting_has_words_in_the_chat_too(problem: str) -> None:
    names = ("low", "high", "multiple", "most", "value", "suggestion", "other")
    error = InvalidSpec("steps", problem, name="--steps", choices=("1", "2", "3"), **{name: name for name in names})
    assert texts.refusal(error) == str(error)
