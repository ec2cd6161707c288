"""What a person in the chat reads when a rule or the hours of the day stand in the way."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from generations import limits
from generations.models import Policy, Rule
from tests.telegram_bot.conftest import House, jobs, set_policy
from tests.telegram_bot.pressing import last

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@sync_to_async
def rule(**facts: str) -> None:
    Rule.objects.create(**{"name": "names", "pattern": "petra", **facts})


async def test_a_blocked_prompt_is_told_with_the_operators_reason(house: House) -> None:
    await rule(action="block", reason="No real people.")
    await house.say("Petra dancing")
    assert last(house).text == "This prompt is not allowed here. No real people."
    assert await jobs() == []


async def test_a_prompt_that_a_rule_holds_waits_for_an_operator(house: House) -> None:
    await rule(action="hold")
    await house.say("Petra dancing")
    assert last(house).text == "Waiting for an operator to approve it."


async def test_of_a_flag_the_person_notices_nothing(house: House) -> None:
    await rule(action="flag")
    await house.say("Petra dancing")
    assert last(house).text == "Queued, 1 of 1"


async def test_outside_the_hours_a_prompt_is_told_when_to_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = timezone.localtime().hour
    begin, end = (hour + 2) % 24, (hour + 3) % 24
    await set_policy(open_from=begin, open_until=end, closed_notice="We sleep.")
    await house.say("a red circle")
    assert last(house).text.startswith(f"We sleep. Come back at {begin:02}:00 (")
    assert await jobs() == []
    await set_policy(open_from=hour, open_until=end)
    await house.say("a red circle")
    assert len(await jobs()) == 1


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        ((8, 20), "2026-03-10 07:59", "2026-03-10 08:00"),
        ((8, 20), "2026-03-10 08:00", None),
        ((8, 20), "2026-03-10 19:59", None),
        ((8, 20), "2026-03-10 20:00", "2026-03-11 08:00"),
        ((22, 6), "2026-03-10 23:00", None),
        ((22, 6), "2026-03-10 05:59", None),
        ((22, 6), "2026-03-10 06:00", "2026-03-10 22:00"),
        # The night in which an hour is left out: ten in the morning stays ten.
        ((10, 20), "2026-03-28 21:00", "2026-03-29 10:00"),
        ((None, None), "2026-03-10 03:00", None),
    ],
)
def test_it_opens_by_the_clock_on_the_wall(
    hours: tuple[int | None, int | None], now: str, opens: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    at = datetime.fromisoformat(now).replace(tzinfo=zone)
    monkeypatch.setattr(timezone, "localtime", lambda: at)
    with timezone.override(zone):
        found = limits.opens_at(Policy(open_from=hours[0], open_until=hours[1]))
    assert found == (datetime.fromisoformat(opens).replace(tzinfo=zone) if opens else None)
