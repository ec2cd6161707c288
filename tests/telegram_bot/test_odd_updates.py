"""Everything that is not a plain text in a private chat: one short answer or none, and never an error."""

from __future__ import annotations

from typing import Any

import pytest

from telegram_bot import texts
from tests.telegram_bot.conftest import ALICE, GROUP, House, base, job, jobs, updates

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

PHOTO = [{"file_id": "a", "file_unique_id": "b", "width": 90, "height": 90}]
STICKER = {
    "file_id": "a",
    "file_unique_id": "b",
    "type": "regular",
    "width": 512,
    "height": 512,
    "is_animated": False,
    "is_video": False,
}
VOICE = {"file_id": "a", "file_unique_id": "b", "duration": 1}
POLL = {
    "id": "1",
    "question": "?",
    "options": [],
    "total_voter_count": 0,
    "is_closed": False,
    "is_anonymous": True,
    "type": "regular",
    "allows_multiple_answers": False,
    "allows_revoting": False,
}


async def errors() -> list[str]:
    rows = await updates()
    assert all(row.handled_at for row in rows)
    return [row.error for row in rows if row.error]


@pytest.mark.parametrize(
    "content",
    [
        {"sticker": STICKER},
        {"photo": PHOTO},
        {"voice": VOICE},
        {"poll": POLL},
        {"dice": {"emoji": "🎲", "value": 3}},
        {"location": {"latitude": 1.0, "longitude": 2.0}},
        {"contact": {"phone_number": "1", "first_name": "x"}},
        {"future_thing": {"x": 1}},
        {},
    ],
    ids=lambda content: next(iter(content), "nothing"),
)
async def test_something_without_text_is_asked_for_text(house: House, content: dict[str, Any]) -> None:
    [answer] = await house.inject(base(**content))
    assert answer.text == "I can only read text. Describe in words what the video should show."
    assert await jobs() == []
    assert await errors() == []


@pytest.mark.parametrize("kind", ["sticker", "photo", "video", "voice", "document"])
async def test_the_same_from_a_real_client(house: House, kind: str) -> None:
    house.telegram.send(ALICE, kind)
    await house.receive()
    [answer] = house.telegram.bot_messages(ALICE)
    assert answer.text == texts.send_text()


async def test_a_caption_is_a_prompt(house: House) -> None:
    [status] = await house.inject(base(photo=PHOTO, caption="a cat"))
    assert status.text == "Queued, 1 of 1"
    assert (await job()).prompt == "a cat"


@pytest.mark.parametrize(
    "content",
    [
        {"new_chat_members": [{"id": 5, "is_bot": False, "first_name": "N"}]},
        {"pinned_message": {"message_id": 1, "date": 0, "chat": {"id": ALICE, "type": "private"}}},
        {"delete_chat_photo": True},
        {"message_auto_delete_timer_changed": {"message_auto_delete_time": 86400}},
        {"write_access_allowed": {}},
    ],
    ids=lambda content: next(iter(content)),
)
async def test_a_service_message_gets_no_answer(house: House, content: dict[str, Any]) -> None:
    assert await house.inject(base(**content)) == []
    assert await errors() == []


async def test_an_edit_makes_no_second_job_and_no_noise(house: House) -> None:
    await house.inject(base(1, text="a cat"))
    edited = base(2, text="a dog", edit_date=1764000009)
    messages = await house.inject({"update_id": 2, "edited_message": edited["message"]})
    assert [message.text for message in messages] == ["Queued, 1 of 1"]
    assert (await job()).prompt == "a cat"
    assert await errors() == []


@pytest.mark.parametrize(
    "update",
    [
        {"channel_post": base(text="a cat")["message"] | {"chat": {"id": -3, "type": "channel", "title": "C"}}},
        {"edited_channel_post": base(text="a cat")["message"] | {"chat": {"id": -3, "type": "channel", "title": "C"}}},
        {"poll": POLL | {"members_only": False}},
        {"inline_query": {"id": "1", "from": {"id": 1, "is_bot": False, "first_name": "x"}, "query": "", "offset": ""}},
        {"future_update": {"x": [1]}},
        {},
    ],
    ids=lambda update: next(iter(update), "nothing"),
)
async def test_other_kinds_of_update_are_taken_and_forgotten(house: House, update: dict[str, Any]) -> None:
    assert await house.inject({"update_id": 5, **update}) == []
    assert house.telegram.calls("sendMessage") == []
    assert await jobs() == []
    assert await errors() == []


@pytest.mark.parametrize(
    "broken",
    [
        {"message": "text"},
        {"message": {"message_id": 1}},
        {"message": {"message_id": 1, "date": "soon", "chat": {"id": ALICE, "type": "private"}}},
        {"message": {"message_id": 1, "date": 0, "chat": None, "text": "x"}},
    ],
    ids=["a string", "no chat", "no date", "null chat"],
)
async def test_an_update_that_nobody_can_read_is_kept_marked_and_passed_over(
    house: House, broken: dict[str, Any]
) -> None:
    house.telegram.inject({"update_id": 5, **broken})
    [status] = await house.say("a cat")
    assert status.text == "Queued, 1 of 1"
    [first, second] = await updates()
    assert first.error.startswith("cannot be read: ")
    assert first.handled_at is not None
    assert second.error == ""
    assert await house.fetch() == 0


async def test_a_message_with_one_unreadable_part_is_answered_all_the_same(house: House) -> None:
    [status] = await house.inject(base(text="a cat", entities=[{"type": 5}]))
    assert status.text == "Queued, 1 of 1"
    assert (await job()).prompt == "a cat"


async def test_numbers_that_no_database_holds_stop_nothing(house: House) -> None:
    huge = {"id": 2**63, "is_bot": False, "first_name": "Huge"}
    house.telegram.inject(base(5, text="a cat", **{"from": huge, "chat": {"id": 2**63, "type": "private"}}))
    [status] = await house.say("a cat")
    assert status.text == "Queued, 1 of 1"


async def test_a_long_text_of_emoji_is_accepted(house: House) -> None:
    [status] = await house.inject(base(text="😀" * 2048))
    assert status.text == "Queued, 1 of 1"


async def test_text_with_a_lone_surrogate_and_nul_is_cleaned_for_the_database(house: House) -> None:
    [status] = await house.inject(base(text="a\x00 cat\ud83d"))
    assert status.text == "Queued, 1 of 1"
    assert (await job()).prompt == "a cat"


async def test_a_message_of_another_bot_in_a_group_is_ignored(house: House) -> None:
    robot = {"id": 77, "is_bot": True, "first_name": "Robot"}
    group = {"id": GROUP, "type": "supergroup", "title": "Friends"}
    mention = [{"type": "mention", "offset": 0, "length": 14}]
    await house.inject(base(text="@simulator_bot a cat", entities=mention, chat=group, **{"from": robot}))
    assert house.telegram.bot_messages(GROUP) == []
    assert await jobs() == []
