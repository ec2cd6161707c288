"""Whoever cannot be reached any more costs nothing more; whoever comes back is served."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from generations import services
from generations.models import Delivery, Generation, Status
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, WORKER, Finish, House, jobs

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

REASON = "the chat cannot be reached: Forbidden: bot was blocked by the user"


@sync_to_async
def last_event(row: Generation) -> tuple[str, str, str]:
    event = row.events.order_by("pk").last()
    assert event is not None
    return event.kind, event.actor, event.detail


async def states() -> list[tuple[str, str]]:
    return [(row.status, row.delivery) for row in await jobs()]


async def test_what_a_person_who_blocked_the_bot_had_asked_for_is_dropped(house: House, render: Finish) -> None:
    for prompt in ("first", "second", "third", "fourth"):
        await house.say(prompt)
    await house.say("of another person", BOB)
    first, second, third, fourth, _ = await jobs()
    await render(first)
    await render(second)
    await sync_to_async(third.start)(WORKER)
    house.telegram.block(ALICE)
    await house.deliver()
    assert await states() == [
        (Status.SUCCEEDED, Delivery.UNDELIVERABLE),
        (Status.SUCCEEDED, Delivery.UNDELIVERABLE),
        (Status.RUNNING, Delivery.NONE),
        (Status.CANCELLED, Delivery.UNDELIVERABLE),
        (Status.QUEUED, Delivery.NONE),
    ]
    assert await last_event(second) == ("undeliverable", "bot", REASON)
    assert await last_event(third) == ("cancel requested", "bot", REASON)
    assert await last_event(fourth) == ("cancelled", "bot", REASON)
    assert await sync_to_async(third.cancel_wanted)(WORKER)
    # One call was enough to know.
    assert len(house.telegram.calls("editMessageMedia", ALICE)) == 1


async def test_whoever_writes_again_is_served(house: House, render: Finish) -> None:
    await house.say("before")
    await render()
    house.telegram.block(ALICE)
    await house.deliver()
    house.telegram.block(ALICE, False)
    await house.say("after")
    await render()
    await house.deliver()
    assert await states() == [
        (Status.SUCCEEDED, Delivery.UNDELIVERABLE),
        (Status.SUCCEEDED, Delivery.DELIVERED),
    ]


async def test_what_is_asked_for_while_the_refused_call_is_under_way_stays(house: House) -> None:
    await house.say("a red circle")
    began = timezone.now() - timedelta(minutes=1)
    dropped = await sync_to_async(services.chat_unreachable)(ALICE, by="bot", reason=REASON, since=began)
    assert (dropped, await states()) == (0, [(Status.QUEUED, Delivery.NONE)])


async def test_a_group_that_throws_the_bot_out_loses_its_own_prompts_only(house: House) -> None:
    await house.say("/video in the group", GROUP, user_id=ALICE)
    await house.say("in private")
    house.telegram.block(GROUP)
    group = (await jobs())[0]
    # Known before anything is rendered: the status message cannot be edited.
    await sync_to_async(Generation.objects.filter(pk=group.pk).update)(status_text="stale")
    await house.show_status()
    assert await states() == [(Status.CANCELLED, Delivery.UNDELIVERABLE), (Status.QUEUED, Delivery.NONE)]
    assert (await last_event(group))[2].endswith("bot was kicked from the supergroup chat")


async def test_a_right_that_is_missing_today_drops_nothing_else(house: House, render: Finish) -> None:
    await house.say("first")
    await house.say("second")
    await render((await jobs())[0])
    words = "Forbidden: not enough rights to send videos to the chat"
    house.telegram.fail("editMessageMedia", status=403, description=words)
    await house.deliver()
    assert await states() == [(Status.SUCCEEDED, Delivery.UNDELIVERABLE), (Status.QUEUED, Delivery.NONE)]
