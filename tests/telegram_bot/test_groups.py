"""Groups and topics: silence unless the bot is addressed, and the answer where the question was."""

from __future__ import annotations

import pytest

from telegram_bot.simulator import Simulator
from tests.telegram_bot.conftest import ALICE, GROUP, Finish, House, base, job, jobs

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

FORUM = -3001


@pytest.fixture
def topic(telegram: Simulator) -> int:
    telegram.add_chat(FORUM, "supergroup", "Forum", is_forum=True)
    return telegram.add_topic(FORUM, "Videos")


async def test_talk_among_people_is_left_alone(house: House) -> None:
    for text in ("a cat", "/strat", "hello @somebody_else", "/video@another_bot a cat", "mail a@simulator_bot.org"):
        assert await house.say(text, GROUP, user_id=ALICE) == []
    house.telegram.send(GROUP, "sticker", user_id=ALICE)
    await house.receive()
    assert house.telegram.bot_messages(GROUP) == []
    assert await jobs() == []


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("@simulator_bot a cat", "a cat"),
        ("@Simulator_Bot a cat", "a cat"),
        ("a cat @simulator_bot", "a cat"),
        ("make 😀 @simulator_bot dance", "make 😀 dance"),
        ("/video@simulator_bot a cat", "a cat"),
        ("/video a cat", "a cat"),
    ],
)
async def test_addressed_the_bot_takes_the_prompt_without_its_own_name(house: House, text: str, prompt: str) -> None:
    [status] = await house.say(text, GROUP, user_id=ALICE)
    assert status.text == "Queued, 1 of 1"
    row = await job()
    assert (row.prompt, row.chat_id, row.requester.user_id) == (prompt, GROUP, ALICE)


async def test_a_reply_to_the_bot_is_a_prompt(house: House) -> None:
    [greeting] = await house.say("/start@simulator_bot", GROUP, user_id=ALICE)
    messages = await house.say("a cat", GROUP, user_id=ALICE, reply_to=greeting.id)
    assert messages[-1].text == "Queued, 1 of 1"
    assert (await job()).prompt == "a cat"


async def test_a_mention_alone_is_asked_for_words(house: House) -> None:
    [answer] = await house.say("@simulator_bot", GROUP, user_id=ALICE)
    assert answer.text.startswith("There is no text to make a video from.")


async def test_a_chat_that_writes_under_its_own_name_is_the_requester(house: House) -> None:
    group = {"id": GROUP, "type": "supergroup", "title": "Friends"}
    anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
    await house.inject(base(text="/video a cat", chat=group, sender_chat=group, **{"from": anonymous}))
    assert (await job()).requester.user_id == GROUP


async def test_a_topic_gets_its_own_answers(house: House, topic: int, render: Finish) -> None:
    [status] = await house.say("@simulator_bot a cat", FORUM, user_id=ALICE, thread_id=topic)
    assert status.data["message_thread_id"] == topic
    assert (await job()).thread_id == topic
    house.telegram.delete(FORUM, status.id)
    await render()
    await house.deliver()
    [video] = house.telegram.bot_messages(FORUM)
    assert (video.kind, video.data["message_thread_id"]) == ("video", topic)


@pytest.mark.parametrize("more", [{"is_topic_message": True, "message_thread_id": 1}, {"message_thread_id": 55}])
async def test_what_only_looks_like_a_topic_is_the_chat_itself(house: House, more: dict[str, object]) -> None:
    forum = {"id": GROUP, "type": "supergroup", "title": "Friends", "is_forum": True}
    await house.inject(base(text="/video a cat", chat=forum, **more))
    [status] = house.telegram.bot_messages(GROUP)
    assert status.text == "Queued, 1 of 1"
    assert (await job()).thread_id is None


@pytest.mark.parametrize("how", [{"deleted": True}, {"closed": True}])
async def test_a_topic_that_is_gone_does_not_swallow_the_video(
    house: House, topic: int, render: Finish, how: dict[str, bool]
) -> None:
    [status] = await house.say("/video a cat", FORUM, user_id=ALICE, thread_id=topic)
    house.telegram.delete(FORUM, status.id)
    house.telegram.set_topic(FORUM, topic, **how)
    await render()
    await house.deliver()
    [video] = house.telegram.bot_messages(FORUM)
    assert video.kind == "video"
    assert "message_thread_id" not in video.data


async def test_a_group_that_became_a_supergroup_gets_its_video(house: House, render: Finish) -> None:
    house.telegram.add_chat(-50, "group", "Small")
    await house.say("/video a cat", -50, user_id=ALICE)
    house.telegram.migrate(-50, -100050)
    await render()
    await house.deliver()
    [video] = house.telegram.bot_messages(-100050)
    assert video.kind == "video"
    assert (await job()).chat_id == -100050


async def test_the_notice_of_the_move_is_enough(house: House) -> None:
    group = {"id": GROUP, "type": "group", "title": "Friends"}
    await house.inject(base(1, text="/video a cat", chat=group))
    await house.inject(base(2, chat=group, migrate_to_chat_id=-100777))
    row = await job()
    assert (row.chat_id, row.status_message_id) == (-100777, None)
