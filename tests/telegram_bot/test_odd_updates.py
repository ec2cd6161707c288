"""Everything that is not a plain text in a private chat: one short answer or none, and never an error."""

from __future__ import annotations

from typing import Any

import pytest
from telegram.ext import filters

from telegram_bot import texts
from telegram_bot.addressing import SERVICE_FIELDS
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


PERSON = {"id": 5, "is_bot": False, "first_name": "N"}
OLD_MESSAGE = {"message_id": 1, "date": 0, "chat": {"id": ALICE, "type": "private"}}
OPTION = {"option_persistent_id": "1", "option_text": "x"}
GIFT = {"gift": {"id": "1", "sticker": STICKER, "star_count": 1}}
COLORS = {"center_color": 0, "edge_color": 0, "symbol_color": 0, "text_color": 0}
PART_OF_GIFT = {"name": "x", "sticker": STICKER, "rarity_per_mille": 1}
UNIQUE_GIFT = {
    "origin": "upgrade",
    "gift": {
        "gift_id": "1",
        "base_name": "x",
        "name": "x",
        "number": 1,
        "model": PART_OF_GIFT,
        "symbol": PART_OF_GIFT,
        "backdrop": {"name": "x", "colors": COLORS, "rarity_per_mille": 1},
    },
}
PAYMENT = {"currency": "XTR", "total_amount": 1, "invoice_payload": "x", "telegram_payment_charge_id": "x"}
# By the names of PTB's filters.
SERVICE_MESSAGES: dict[str, dict[str, Any]] = {
    "CHAT_BACKGROUND_SET": {"chat_background_set": {"type": {"type": "chat_theme", "theme_name": "x"}}},
    "CHAT_CREATED": {"group_chat_created": True},
    "CHAT_OWNER_CHANGED": {"chat_owner_changed": {"new_owner": PERSON}},
    "CHAT_OWNER_LEFT": {"chat_owner_left": {"new_owner": PERSON}},
    "CHAT_SHARED": {"chat_shared": {"request_id": 1, "chat_id": -1}},
    "CHECKLIST_TASKS_ADDED": {"checklist_tasks_added": {"tasks": [{"id": 1, "text": "x"}]}},
    "CHECKLIST_TASKS_DONE": {"checklist_tasks_done": {"marked_as_done_task_ids": [1]}},
    "CONNECTED_WEBSITE": {"connected_website": "example.org"},
    "DIRECT_MESSAGE_PRICE_CHANGED": {"direct_message_price_changed": {"are_direct_messages_enabled": True}},
    "DELETE_CHAT_PHOTO": {"delete_chat_photo": True},
    "FORUM_TOPIC_CLOSED": {"forum_topic_closed": {}},
    "FORUM_TOPIC_CREATED": {"forum_topic_created": {"name": "x", "icon_color": 1}},
    "FORUM_TOPIC_EDITED": {"forum_topic_edited": {"name": "x"}},
    "FORUM_TOPIC_REOPENED": {"forum_topic_reopened": {}},
    "GENERAL_FORUM_TOPIC_HIDDEN": {"general_forum_topic_hidden": {}},
    "GENERAL_FORUM_TOPIC_UNHIDDEN": {"general_forum_topic_unhidden": {}},
    "GIFT": {"gift": GIFT},
    "GIFT_UPGRADE_SENT": {"gift_upgrade_sent": GIFT},
    "GIVEAWAY_CREATED": {"giveaway_created": {}},
    "GIVEAWAY_COMPLETED": {"giveaway_completed": {"winner_count": 1}},
    "LEFT_CHAT_MEMBER": {"left_chat_member": PERSON},
    "MANAGED_BOT_CREATED": {"managed_bot_created": {"bot": PERSON}},
    "MESSAGE_AUTO_DELETE_TIMER_CHANGED": {"message_auto_delete_timer_changed": {"message_auto_delete_time": 86400}},
    "MIGRATE": {"migrate_from_chat_id": -5},
    "NEW_CHAT_MEMBERS": {"new_chat_members": [PERSON]},
    "NEW_CHAT_PHOTO": {"new_chat_photo": PHOTO},
    "NEW_CHAT_TITLE": {"new_chat_title": "a cat"},
    "PAID_MESSAGE_PRICE_CHANGED": {"paid_message_price_changed": {"paid_message_star_count": 1}},
    "PINNED_MESSAGE": {"pinned_message": OLD_MESSAGE},
    "POLL_OPTION_ADDED": {"poll_option_added": OPTION},
    "POLL_OPTION_DELETED": {"poll_option_deleted": OPTION},
    "PROXIMITY_ALERT_TRIGGERED": {"proximity_alert_triggered": {"traveler": PERSON, "watcher": PERSON, "distance": 1}},
    "REFUNDED_PAYMENT": {"refunded_payment": PAYMENT},
    "SUGGESTED_POST_APPROVAL_FAILED": {"suggested_post_approval_failed": {"price": {"currency": "XTR", "amount": 1}}},
    "SUGGESTED_POST_APPROVED": {"suggested_post_approved": {"send_date": 1764000000}},
    "SUGGESTED_POST_DECLINED": {"suggested_post_declined": {}},
    "SUGGESTED_POST_PAID": {"suggested_post_paid": {"currency": "XTR"}},
    "SUGGESTED_POST_REFUNDED": {"suggested_post_refunded": {"reason": "post_deleted"}},
    "UNIQUE_GIFT": {"unique_gift": UNIQUE_GIFT},
    "USERS_SHARED": {"users_shared": {"request_id": 1, "users": [{"user_id": 5}]}},
    "VIDEO_CHAT_ENDED": {"video_chat_ended": {"duration": 1}},
    "VIDEO_CHAT_SCHEDULED": {"video_chat_scheduled": {"start_date": 1764000000}},
    "VIDEO_CHAT_STARTED": {"video_chat_started": {}},
    "VIDEO_CHAT_PARTICIPANTS_INVITED": {"video_chat_participants_invited": {"users": [PERSON]}},
    "WEB_APP_DATA": {"web_app_data": {"data": "a cat", "button_text": "x"}},
    "WRITE_ACCESS_ALLOWED": {"write_access_allowed": {}},
}


async def test_a_service_message_gets_no_answer(house: House) -> None:
    for number, content in enumerate(SERVICE_MESSAGES.values(), 1):
        house.telegram.inject(base(number, **content))
    await house.receive()
    assert house.telegram.bot_messages(ALICE) == []
    assert await jobs() == []
    assert await errors() == []


async def test_a_service_message_that_cannot_be_read_gets_none_either(house: House) -> None:
    for number, content in enumerate(SERVICE_MESSAGES.values(), 1):
        house.telegram.inject(base(number, **{field: {"of": "later"} for field in content}, poll={"id": 1}))
    await house.receive()
    assert house.telegram.bot_messages(ALICE) == []
    assert await jobs() == []


def test_every_service_message_that_the_library_knows_is_tried() -> None:
    known = {name for name in vars(filters.StatusUpdate) if name.isupper() and not name.startswith("_")}
    assert known - {"ALL"} == set(SERVICE_MESSAGES)
    assert {field for content in SERVICE_MESSAGES.values() for field in content} <= SERVICE_FIELDS


async def test_an_edit_makes_no_second_job(house: House) -> None:
    await house.inject(base(1, text="a cat"))
    edited = base(2, message_id=10_001, text="a dog", edit_date=1764000009)
    messages = await house.inject({"update_id": 2, "edited_message": edited["message"]})
    assert [message.text for message in messages] == ["Queued, 1 of 1", texts.edited_in_time()]
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
