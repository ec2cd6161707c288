"""Rows 53 and 54: an operator looks at a prompt before it is made, or at its video before it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from generations import operating, personal, reviewing
from generations.models import AuditEntry, Delivery, Generation, Group, Policy, Requester, Status
from generations.roles import REVIEW
from telegram_bot import review_requests
from telegram_bot.models import Bulletin
from tests.telegram_bot.conftest import ALICE, GROUP, Finish, House, jobs, set_policy
from tests.telegram_bot.pressing import labels, last, press
from tests.telegram_bot.test_operators import make_operator

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

OLGA, PAUL = 1003, 1004
HELD_VIDEO = "Your video is made. An operator looks at it before it is sent."
REAL = "No real people, please."


async def operators(house: House, *telegram_ids: int, permission: str = REVIEW) -> None:
    for telegram_id in telegram_ids:
        house.telegram.add_user(telegram_id, f"Operator {telegram_id}")
        house.telegram.add_chat(telegram_id)
        await sync_to_async(make_operator)(telegram_id, permission)


async def look(house: House) -> None:
    await sync_to_async(review_requests.look)()
    await house.notify()


@sync_to_async
def somebody(name: str = "olga") -> User:
    return User.objects.get_or_create(username=name)[0]


@sync_to_async
def operate(door: Any, row: Generation, **facts: Any) -> bool:
    done: bool = door(row, **facts)
    return done


@sync_to_async
def entries() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", "actor_label", "via"))


async def held_video(house: House, render: Finish, prompt: str = "a red circle") -> Generation:
    await set_policy(review="before_delivery")
    await house.say(prompt)
    await render()
    await house.deliver()
    return (await jobs())[-1]


# --- before it is sent


async def test_a_held_video_is_announced_looked_at_and_then_sent(house: House, render: Finish) -> None:
    row = await held_video(house, render)
    await house.show_status()
    assert (row.status, row.delivery) == (Status.SUCCEEDED, Delivery.HELD)
    assert (last(house).text, labels(last(house))) == (HELD_VIDEO, [])
    assert (await house.say("/status"))[-1].text == f"{HELD_VIDEO}: a red circle"

    assert await operate(operating.approve, row, by=await somebody())
    await house.deliver()
    [message] = [message for message in house.telegram.bot_messages(ALICE) if message.kind == "video"]
    assert message.text.startswith("a red circle")


async def test_a_refused_video_reaches_its_person_by_no_door(house: House, render: Finish) -> None:
    row = await held_video(house, render)
    assert await operate(operating.reject, row, by=await somebody(), reason=REAL)
    await house.deliver()
    assert last(house).text == f"An operator declined this prompt. {REAL}"
    assert (await house.say("/history"))[-1].text == "You have no finished videos yet."
    row = (await jobs())[0]
    assert row.file
    assert not personal.can_be_sent(row)
    assert await operate(operating.resend, row, by=await somebody()) is False
    assert all(message.kind != "video" for message in house.telegram.bot_messages(ALICE))
    usage = (await house.say("/usage"))[-1].text
    assert usage.startswith("Today you have used 0 of 50 videos")


async def test_the_video_of_a_job_that_an_operator_holds_while_it_waits_is_not_sent(
    house: House, render: Finish
) -> None:
    await house.say("a red circle")
    [row] = await jobs()
    assert await operate(operating.hold, row, by=await somebody())
    await render()
    await house.deliver()
    assert (await jobs())[0].delivery == Delivery.HELD
    assert await entries() == [("held", "olga", "command")]


async def test_a_ban_refuses_the_videos_that_are_held(house: House, render: Finish) -> None:
    row = await held_video(house, render)
    stopped = await sync_to_async(operating.ban)(row.requester, by=await somebody(), reason="Spam.")
    await house.deliver()
    assert stopped == 1
    assert (await jobs())[0].status == Status.REJECTED
    assert last(house).text == "An operator declined this prompt. Spam."


async def test_a_held_video_for_a_chat_that_is_gone_is_closed(house: House, render: Finish) -> None:
    row = await held_video(house, render)
    house.telegram.block(ALICE)
    await house.show_status()
    assert (await jobs())[0].delivery == Delivery.UNDELIVERABLE

    house.telegram.block(ALICE, False)
    assert (await house.say("/history"))[-1].text == "You have no finished videos yet."
    assert await operate(operating.resend, row, by=await somebody())
    assert (await jobs())[0].delivery == Delivery.HELD, "sent again is not approved"


# --- which mode counts


@pytest.mark.parametrize(
    ("person", "group", "policy", "expected"),
    [
        ("", "", "auto", "auto"),
        ("", "", "before_delivery", "before_delivery"),
        ("", "before_generation", "auto", "before_generation"),
        ("", "auto", "before_generation", "auto"),
        ("before_delivery", "before_generation", "auto", "before_delivery"),
        ("auto", "before_generation", "before_generation", "auto"),
    ],
)
def test_the_persons_mode_wins_over_the_groups_and_that_over_the_policys(
    person: str, group: str, policy: str, expected: str
) -> None:
    mode = reviewing.mode_for(Requester(review=person), Group(review=group), Policy(review=policy))
    assert mode == expected


async def test_the_prompts_of_one_group_wait_and_those_of_others_do_not(house: House) -> None:
    house.telegram.add_chat(GROUP, title="Circles")
    await house.say("/video a red circle", GROUP, user_id=ALICE)
    await sync_to_async(Group.objects.update)(review="before_generation")
    await house.say("/video a blue square", GROUP, user_id=ALICE)
    await house.say("a green star")
    assert [row.status for row in await jobs()] == [Status.QUEUED, Status.PENDING_REVIEW, Status.QUEUED]


# --- in the operators' chats


async def test_each_operator_is_asked_and_one_of_them_decides(house: House, render: Finish) -> None:
    await operators(house, OLGA, PAUL)
    await set_policy(review="before_generation")
    await house.say("a red circle moving right")
    await look(house)
    [row] = await jobs()
    asked = f"Prompt #{row.pk} waits for review before it is made.\nName: Alice\na red circle moving right"
    assert [last(house, chat).text for chat in (OLGA, PAUL)] == [asked, asked]
    assert labels(last(house, OLGA)) == [
        ["Approve"],
        ["No: against the rules"],
        ["No: real people"],
        ["No: ask in other words"],
    ]

    await press(house, last(house, OLGA), "Approve", chat_id=OLGA, user_id=OLGA)
    await house.notify()
    done = f"{asked}\n\nApproved by operator{OLGA}."
    assert [(last(house, chat).text, labels(last(house, chat))) for chat in (OLGA, PAUL)] == [(done, []), (done, [])]
    assert (await jobs())[0].status == Status.QUEUED
    assert await entries() == [("approved", f"operator{OLGA}", "telegram")]
    await look(house)
    assert await sync_to_async(Bulletin.objects.count)() == 2, "nobody is asked again"


async def test_a_video_is_refused_with_a_reason_by_a_button(house: House, render: Finish) -> None:
    await operators(house, OLGA)
    row = await held_video(house, render, "a famous singer")
    await look(house)
    assert last(house, OLGA).text.startswith(f"Video #{row.pk} waits for review before it is sent.")
    await press(house, last(house, OLGA), "No: real people", chat_id=OLGA, user_id=OLGA)
    await house.deliver()
    assert last(house).text == f"An operator declined this prompt. {REAL}"


async def test_what_was_decided_in_the_admin_is_read_in_the_chat_and_the_buttons_go(house: House) -> None:
    await operators(house, OLGA)
    await set_policy(review="before_generation")
    await house.say("a red circle")
    await look(house)
    stale = last(house, OLGA)
    [row] = await jobs()
    await operate(operating.reject, row, by=await somebody("pia"), reason="No.")
    toast = await press(house, stale, "Approve", chat_id=OLGA, user_id=OLGA)
    assert toast == "Denied by pia."
    await look(house)
    assert (last(house, OLGA).text.splitlines()[-1], labels(last(house, OLGA))) == ("Denied by pia.", [])
    assert (await jobs())[0].status == Status.REJECTED


async def test_what_its_person_cancels_needs_no_decision_any_more(house: House) -> None:
    await operators(house, OLGA)
    await set_policy(review="before_generation")
    await house.say("a red circle")
    await look(house)
    await house.say("/cancel")
    await look(house)
    assert last(house, OLGA).text.endswith("It does not wait for review any more.")
    assert labels(last(house, OLGA)) == []


async def test_what_is_held_once_more_before_it_was_sent_is_asked_again(house: House, render: Finish) -> None:
    await operators(house, OLGA)
    row = await held_video(house, render)
    await look(house)
    await press(house, last(house, OLGA), "Approve", chat_id=OLGA, user_id=OLGA)
    await look(house)
    assert labels(last(house, OLGA)) == []
    assert await operate(operating.hold, row, by=await somebody())
    await look(house)
    assert labels(last(house, OLGA))[0] == ["Approve"]
    assert len(house.telegram.bot_messages(OLGA)) == 1


async def test_whoever_may_not_review_is_not_asked_and_decides_nothing(house: House) -> None:
    await operators(house, OLGA)
    await operators(house, PAUL, permission="generations.view_generation")
    await set_policy(review="before_generation")
    await house.say("a red circle")
    await look(house)
    assert house.telegram.bot_messages(PAUL) == []
    toast = await press(house, last(house, OLGA), "Approve", chat_id=OLGA, user_id=PAUL)
    assert toast == "Only operators who may decide this can."
    assert (await jobs())[0].status == Status.PENDING_REVIEW


async def test_a_crowd_of_prompts_does_not_flood_the_operators(house: House) -> None:
    await operators(house, OLGA)
    await set_policy(review="before_generation", waiting_limit=0)
    for number in range(13):
        await house.say(f"circle {number}")
    await look(house)
    assert len(house.telegram.bot_messages(OLGA)) == review_requests.SHOWN
    await press(house, last(house, OLGA), "Approve", chat_id=OLGA, user_id=OLGA)
    await look(house)
    assert len(house.telegram.bot_messages(OLGA)) == review_requests.SHOWN + 1, "one is decided, so the next is asked"
