"""Longer or shorter, within what the model and the policy offer when it is pressed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from generations import services
from generations.engine.card import ModelCard
from generations.models import Generation
from telegram_bot import texts

from .conftest import ALICE, Finish, House, jobs, set_policy
from .pressing import labels, last, press, toasts

# 8 frames a second, 1 to 32 of them.
CARD = ModelCard()


@pytest.fixture
async def video(house: House, render: Finish, monkeypatch: pytest.MonkeyPatch) -> Generation:
    """Of two seconds, as the real model makes them."""
    monkeypatch.setattr(services, "model_card", lambda: CARD)
    await house.say("a panda --seed 7")
    await render()
    await house.deliver()
    [row] = await jobs()
    assert (row.frames, row.fps) == (16, 8)
    return row


async def test_a_video_can_be_had_longer_and_shorter(house: House, video: Generation) -> None:
    shown = last(house)
    assert labels(shown)[1] == ["Edit prompt", "Longer or shorter"]
    await press(house, shown, "Longer or shorter")
    assert labels(last(house)) == [["1 s", "3 s", "4 s"], ["← Back"]]
    assert await press(house, shown, "3 s") == "It is in the queue."
    longer = (await jobs())[-1]
    assert longer.spec() == replace(video.spec(), frames=24)
    assert longer.parent_id == video.pk
    await press(house, shown, "← Back")
    assert labels(house.telegram.bot_messages(ALICE)[0]) == labels(shown)


async def test_each_length_is_made_once_at_a_time(house: House, video: Generation) -> None:
    shown = last(house)
    await press(house, shown, "Longer or shorter")
    await press(house, shown, "3 s", times=2)
    await press(house, shown, "4 s")
    assert toasts(house.telegram)[1:] == ["It is in the queue.", "That is on its way already.", "It is in the queue."]
    # Neither is the one of the same seed and length.
    await press(house, shown, "← Back")
    assert await press(house, shown, "Same seed") == "It is in the queue."
    assert [row.frames for row in await jobs()] == [16, 24, 32, 16]


async def test_the_operators_cap_counts_when_it_is_pressed(house: House, video: Generation) -> None:
    shown = last(house)
    await press(house, shown, "Longer or shorter")
    await set_policy(max_frames=16)
    assert await press(house, shown, "4 s") == texts.not_on_offer()
    assert len(await jobs()) == 1


async def test_a_model_with_one_length_has_no_such_button(house: House, render: Finish) -> None:
    await house.say("a red circle")
    await render()
    await house.deliver()
    assert "Longer or shorter" not in str(labels(last(house)))
