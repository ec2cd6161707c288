"""Row 28: what operators decide about groups, what becomes of a group, and administrators without a name."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from generations import operating, personal, services
from generations.models import Delivery, Group, Status
from telegram_bot import texts
from telegram_bot.simulator import Message

from .conftest import ALICE, BOB, GROUP, Finish, House, base, jobs, set_policy
from .pressing import last, press, toasts, video

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

OTHER = -2002
OFF = "I take nothing from this group at the moment: the operators of this bot have switched it off."
CHAT = {"id": GROUP, "type": "supergroup", "title": "Friends"}
ANONYMOUS = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
USED_UP = "This group has used its 2 videos of today: 0 of 2 left."


@sync_to_async
def group(chat_id: int = GROUP) -> Group:
    return Group.objects.get(chat_id=chat_id)


@sync_to_async
def set_group(chat_id: int = GROUP, **values: Any) -> None:
    Group.objects.update_or_create(chat_id=chat_id, defaults=values)


def words(house: House, chat_id: int = GROUP) -> list[str]:
    return [message.text for message in house.telegram.bot_messages(chat_id)]


# --- the switch


async def test_a_group_is_known_by_its_title_from_the_first_word_to_the_bot(house: House) -> None:
    await house.say("talk among people", GROUP, user_id=ALICE)
    assert not await sync_to_async(Group.objects.exists)()
    await house.say("/help@simulator_bot", GROUP, user_id=ALICE)
    row = await group()
    assert (row.title, row.enabled, row.daily_limit, row.removed_at) == ("Friends", True, None, None)
    await house.inject(base(text="/video a cat", chat=CHAT | {"title": "Best friends\ud83d\0"}))
    assert (await group()).title == "Best friends"


@pytest.mark.parametrize("everywhere", [True, False])
async def test_a_group_that_is_switched_off_is_told_so_once_a_day(house: House, everywhere: bool) -> None:
    if everywhere:
        await set_policy(groups_enabled=False)
    else:
        await set_group(enabled=False)
    for text in ("talk", "/video a cat", "@simulator_bot a cat", "/help", "/start@simulator_bot", "/status"):
        await house.say(text, GROUP, user_id=ALICE)
    assert words(house) == [OFF]
    [answer] = house.telegram.bot_messages(GROUP)
    await house.say("a cat", GROUP, user_id=ALICE, reply_to=answer.id)
    assert words(house) == [OFF]
    await set_group(refused_at=timezone.now() - timedelta(days=1, seconds=1))
    await house.say("/video a cat", GROUP, user_id=ALICE)
    assert words(house) == [OFF, OFF]
    assert await jobs() == []
    # Elsewhere nothing has changed.
    assert (await house.say("a cat"))[-1].text == "Queued, 1 of 1"
    assert (await house.say("/video a cat", OTHER, user_id=ALICE))[-1].text == (OFF if everywhere else "Queued, 2 of 2")


async def test_another_bot_opens_no_door(house: House) -> None:
    bot = {"id": 5, "is_bot": True, "first_name": "Other"}
    await house.inject(base(text="/video a cat", chat=CHAT, **{"from": bot}))
    assert (await jobs(), words(house)) == ([], [])
    assert not await sync_to_async(Group.objects.exists)()


async def test_what_was_made_before_a_group_was_switched_off_can_still_be_deleted_but_not_repeated(
    house: House, render: Finish
) -> None:
    await video(house, render, "/video a red circle", GROUP)
    await set_group(enabled=False)
    shown = last(house, GROUP)
    assert await press(house, shown, "Again", chat_id=GROUP) == OFF
    assert len(await jobs()) == 1
    await press(house, shown, "Delete", chat_id=GROUP)
    await press(house, shown, "Delete for good", chat_id=GROUP)
    assert house.telegram.bot_messages(GROUP) == []


# --- the limit


async def test_a_group_has_so_many_videos_a_day_of_all_its_people_together(house: House, render: Finish) -> None:
    await set_policy(group_daily_limit=2)
    await house.say("/video one", GROUP, user_id=ALICE)
    await house.say("/video two x3", GROUP, user_id=BOB)
    status = last(house, GROUP).text
    words_of_limit = "1 of the 3 videos is accepted. This group has used its 2 videos of today"
    assert status.startswith(f"Queued, 2 of 2\n\n{words_of_limit}")
    refused = (await house.say("/video three", GROUP, user_id=ALICE))[-1].text
    assert refused.startswith(f"{USED_UP} This resets at 00:00 (UTC), in ")
    # A group of its own has its own count, and a private chat has none.
    assert (await house.say("/video one", OTHER, user_id=ALICE))[-1].text == "Queued, 3 of 3"
    assert (await house.say("a cat"))[-1].text == "Queued, 4 of 4"
    # What failed or was cancelled does not count.
    assert await sync_to_async(operating.cancel)((await jobs())[0], by="requester")
    assert (await house.say("/video four", GROUP, user_id=ALICE))[-1].text == "Queued, 4 of 4"


async def test_a_groups_own_limit_wins_over_the_policys(house: House) -> None:
    await set_policy(group_daily_limit=1)
    await set_group(GROUP, daily_limit=2)
    await set_group(OTHER, daily_limit=0)
    for _ in range(3):
        for chat in (GROUP, OTHER):
            await house.say("/video a cat", chat, user_id=BOB)
        await set_policy(waiting_limit=0)
    assert [row.chat_id for row in await jobs()] == [GROUP, OTHER, GROUP, OTHER, OTHER]
    assert words(house)[-1].startswith(USED_UP)


async def test_usage_in_a_group_tells_what_the_group_has_left(house: House) -> None:
    await set_group(daily_limit=3)
    await house.say("/video a cat", GROUP, user_id=BOB)
    answer = (await house.say("/usage", GROUP, user_id=ALICE))[-1].text
    assert answer.splitlines()[-1] == "This group has used 1 of its 3 videos today."
    assert "This group" not in (await house.say("/usage"))[-1].text


async def test_people_who_write_at_once_do_not_pass_the_limit(house: House) -> None:
    """Several processes decide at the same time; the rows of the group are locked."""
    await set_policy(group_daily_limit=3)

    def submit(number: int) -> object:
        try:
            person = services.Person(5000 + number)
            return services.submit(person, "a cat", request_key=f"k{number}", place=services.Place(GROUP))
        except services.limits.LimitReached as refusal:
            return refusal.rule
        finally:
            connection.close()

    threads = [asyncio.to_thread(submit, number) for number in range(8)]
    outcomes = await asyncio.gather(*threads)
    assert outcomes.count("group_daily") == 5
    assert len(await jobs()) == 3


# --- what becomes of a group


async def test_a_group_that_became_a_supergroup_keeps_its_switch_and_its_count(house: House) -> None:
    await set_group(-50, daily_limit=1)
    house.telegram.add_chat(-50, "group", "Small")
    house.telegram.add_chat(-100050, "supergroup", "Small")
    small = {"id": -50, "type": "group", "title": "Small"}
    await house.inject(base(1, text="/video a cat", chat=small))
    # Somebody is faster in the new group than the notice in the old one.
    new = {"id": -100050, "type": "supergroup", "title": "Small"}
    await house.inject(base(2, text="/help", chat=new))
    await house.inject(base(3, chat=small, migrate_to_chat_id=-100050))
    await house.inject(base(4, text="/video another", chat=new))
    assert await sync_to_async(list)(Group.objects.values_list("chat_id", "title", "daily_limit")) == [
        (-100050, "Small", 1)
    ]
    assert [row.prompt for row in await jobs()] == ["a cat"]


async def test_nothing_more_is_made_for_a_group_that_threw_the_bot_out(house: House, render: Finish) -> None:
    await house.say("/video one", GROUP, user_id=ALICE)
    await render()
    await house.say("/video two", GROUP, user_id=BOB)
    await house.say("a cat of my own")
    house.telegram.block(GROUP)
    await house.receive()
    await house.deliver()
    one, two, own = await jobs()
    assert (one.status, one.delivery) == (Status.SUCCEEDED, Delivery.UNDELIVERABLE)
    assert (two.status, two.delivery) == (Status.CANCELLED, Delivery.UNDELIVERABLE)
    assert "the bot was removed from the group" in two.delivery_error
    assert own.status == Status.QUEUED
    assert (await group()).removed_at is not None
    house.telegram.block(GROUP, blocked=False)
    await house.say("/video three", GROUP, user_id=ALICE)
    assert (await group()).removed_at is None
    assert (await jobs())[-1].status == Status.QUEUED


# --- administrators without a name


async def asked_by_the_group(house: House, render: Finish) -> Message:
    update = base(text="/video a cat", chat=CHAT, sender_chat=CHAT, **{"from": ANONYMOUS})
    await house.inject(update)
    await render()
    await house.deliver()
    assert last(house, GROUP).kind == "video"
    return last(house, GROUP)


async def test_an_administrator_presses_the_buttons_of_what_the_group_asked_for(house: House, render: Finish) -> None:
    house.telegram.promote(GROUP, ALICE)
    shown = await asked_by_the_group(house, render)
    assert await press(house, shown, "Again", chat_id=GROUP, user_id=ALICE) == texts.queued_again()
    first, second = await jobs()
    assert (second.parent_id, second.requester.user_id, second.requester.display_name) == (first.pk, GROUP, "Friends")
    assert await press(house, last(house, GROUP), "Cancel", chat_id=GROUP, user_id=ALICE) == texts.cancelled()
    await press(house, shown, "Delete", chat_id=GROUP, user_id=ALICE)
    await press(house, shown, "Delete for good", chat_id=GROUP, user_id=ALICE)
    assert not (await jobs())[0].file
    # One call for all of it.
    assert len(house.telegram.calls("getChatAdministrators")) == 1


async def test_others_may_not_and_a_list_that_cannot_be_had_counts_as_none(house: House, render: Finish) -> None:
    house.telegram.promote(GROUP, ALICE)
    shown = await asked_by_the_group(house, render)
    house.telegram.fail("getChatAdministrators", 400, description="Bad Request: member list is inaccessible")
    for person in (BOB, ALICE, BOB):
        assert await press(house, shown, "Again", chat_id=GROUP, user_id=person) == texts.not_yours()
    assert len(house.telegram.calls("getChatAdministrators")) == 1
    house.application.bot_data.clear()
    house.restart()
    assert await press(house, shown, "Again", chat_id=GROUP, user_id=BOB) == texts.not_yours()
    assert len(await jobs()) == 1


async def test_an_administrator_has_no_say_over_what_a_member_asked_for(house: House, render: Finish) -> None:
    house.telegram.promote(GROUP, BOB)
    await video(house, render, "/video a red circle", GROUP)
    await press(house, last(house, GROUP), "Delete", chat_id=GROUP, user_id=BOB)
    assert toasts(house.telegram)[-1] == texts.not_yours()
    assert house.telegram.calls("getChatAdministrators") == []


# --- the operators' page


@pytest.fixture
def olga(transactional_db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga", password="a long password"))
    return client


def test_operators_see_every_group_and_set_its_switch_and_limit(olga: Client) -> None:
    first, second = Group.objects.create(chat_id=GROUP, title="<b>Friends"), Group.objects.create(chat_id=OTHER)
    services.submit(services.Person(ALICE), "a cat", request_key="1", place=services.Place(GROUP))
    address = reverse("admin:generations_group_changelist")
    page = olga.get(address).content.decode()
    assert "&lt;b&gt;Friends" in page
    assert '<td class="field-made_today">1</td>' in page
    form = {
        "form-TOTAL_FORMS": 2,
        "form-INITIAL_FORMS": 2,
        "form-0-id": second.pk,
        "form-0-enabled": "on",
        "form-0-daily_limit": "7",
        "form-1-id": first.pk,
        "form-1-daily_limit": "",
        "_save": "Save",
    }
    assert olga.post(address, form).status_code == 302
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.enabled, first.daily_limit) == (False, None)
    assert (second.enabled, second.daily_limit) == (True, 7)
    assert olga.get(reverse("admin:generations_group_change", args=[first.pk])).status_code == 200
    usage = personal.group_usage(OTHER)
    assert usage is not None
    assert (usage.used, usage.limit) == (0, 7)
