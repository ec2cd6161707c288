"""A clock that is set back makes nobody wait longer than they were told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db.models import F
from django.utils import timezone

from generations.models import Delivery, Generation
from telegram_bot import inbox
from telegram_bot.delivery import rows
from telegram_bot.models import ReceivedUpdate
from tests.telegram_bot.conftest import Finish, House, base, change, job, updates

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

TWO_HOURS = timedelta(hours=2)


@sync_to_async
def set_the_clock_back() -> None:
    """For the rows it is the same as if they had been written two hours from now."""
    Generation.objects.update(
        deliver_after=F("deliver_after") + TWO_HOURS, delivery_lease_until=F("delivery_lease_until") + TWO_HOURS
    )
    ReceivedUpdate.objects.update(lease_until=F("lease_until") + TWO_HOURS)


async def wait_of(row: Generation) -> float:
    """Seconds until its result may be sent; checked twice, because looking must not prolong it."""
    for _ in range(2):
        await sync_to_async(rows.shorten_waits)()
    await sync_to_async(row.refresh_from_db)()
    assert row.deliver_after is not None
    return (row.deliver_after - timezone.now()).total_seconds()


@pytest.fixture
async def postponed(house: House, render: Finish) -> House:
    await house.say("a red circle")
    await render()
    house.telegram.fail("editMessageMedia", retry_after=37)
    await house.deliver()
    return house


async def test_a_flood_wait_lasts_as_long_as_telegram_said(postponed: House) -> None:
    row = await job()
    assert row.delivery == Delivery.WAITING
    assert 30 < await wait_of(row) <= 37
    await set_the_clock_back()
    assert 30 < await wait_of(row) <= 37


async def test_a_wait_that_is_longer_is_kept_when_the_clock_runs_as_it_should(postponed: House) -> None:
    row = await job()
    await change(row, deliver_after=timezone.now() + TWO_HOURS)
    assert await wait_of(row) > 7000


async def test_a_result_that_waits_for_its_announcement_waits_a_minute(house: House, render: Finish) -> None:
    await house.say("a red circle")
    row = await render()
    await change(row, deliver_after=timezone.now() + timedelta(seconds=60), status_message_id=None)
    assert 50 < await wait_of(row) <= 60
    await set_the_clock_back()
    assert 50 < await wait_of(row) <= 60


async def test_an_answer_that_is_put_off_comes_within_minutes(house: House) -> None:
    await sync_to_async(inbox.store)([base(7, text="/start")])
    await sync_to_async(ReceivedUpdate.objects.update)(lease_until=timezone.now() + timedelta(seconds=37))
    assert await sync_to_async(inbox.shorten_waits)() == 0
    await set_the_clock_back()
    assert await sync_to_async(inbox.shorten_waits)() == 1
    [row] = await updates()
    assert row.lease_until is not None
    assert row.lease_until - timezone.now() <= inbox.LEASE
