"""Some people may have more than others, or less: by a tier, by numbers of their own, for today only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from generations import limits, operating, personal, services
from generations.engine.card import InvalidSpec
from generations.limits import LimitReached
from generations.models import Generation, Policy, Requester, Status, Tier
from generations.services import Person
from tests.generations.conftest import at_once

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]

ANN, BOB = Person(user_id=1, display_name="Ann"), Person(user_id=2, display_name="Bob")
FREE = {"daily_limit": 0, "waiting_limit": 0, "queue_limit": 0}


@pytest.fixture(autouse=True)
def policy() -> None:
    Policy.current()
    Policy.objects.update(**FREE)


def person(who: Person = ANN, **values: Any) -> Requester:
    row = services.remember(who)
    Requester.objects.filter(pk=row.pk).update(**values)
    return Requester.objects.get(pk=row.pk)


def submit(number: int, who: Person = ANN, **more: Any) -> Generation:
    return services.submit(who, "a red circle", request_key=f"key {number}", **more)


def refused(number: int, who: Person = ANN) -> LimitReached:
    with pytest.raises(LimitReached) as refusal:
        submit(number, who)
    return refusal.value


def test_own_numbers_win_over_the_tiers_and_these_over_the_policys() -> None:
    Policy.objects.update(daily_limit=1, waiting_limit=9, hourly_limit=5)
    ann = person(tier=Tier.objects.create(name="gold", daily_limit=2, waiting_limit=3), daily_limit=4)
    mine = ann.entitlement(Policy.current())
    assert (mine.daily_limit, mine.waiting_limit, mine.hourly_limit) == (4, 3, 5)
    bobs = person(BOB).entitlement(Policy.current())
    assert (bobs.daily_limit, bobs.waiting_limit, bobs.hourly_limit) == (1, 9, 5)


def test_a_tier_lets_its_people_send_more_and_nobody_else() -> None:
    Policy.objects.update(daily_limit=1)
    person(tier=Tier.objects.create(name="gold", daily_limit=2))
    outcomes = services.submit_all(
        [services.Request(who, "a cat", f"{who.user_id} {n}") for n in "abc" for who in (ANN, BOB)]
    )
    assert [getattr(outcome, "rule", "accepted") for outcome in outcomes[0::2]] == ["accepted", "accepted", "daily"]
    assert [getattr(outcome, "rule", "accepted") for outcome in outcomes[1::2]] == ["accepted", "daily", "daily"]


def test_zero_of_ones_own_is_no_limit_where_the_policy_has_one() -> None:
    Policy.objects.update(daily_limit=1, waiting_limit=1)
    person(daily_limit=0, waiting_limit=0)
    for number in range(4):
        submit(number)


def test_a_tier_that_is_deleted_leaves_its_people_with_the_policys_limits() -> None:
    Policy.objects.update(daily_limit=1)
    person(tier=Tier.objects.create(name="gold", daily_limit=9))
    submit(1)
    Tier.objects.filter(name="gold").delete()
    assert refused(2).limit == 1


def test_the_third_prompt_of_an_hour_is_refused_until_the_first_one_is_an_hour_old() -> None:
    Policy.objects.update(hourly_limit=2)
    begin = timezone.now()
    for number, minutes in enumerate((-70, -50, -20)):
        row = submit(number) if number < 2 else None
        if row is not None:
            Generation.objects.filter(pk=row.pk).update(created_at=begin + timedelta(minutes=minutes))
    third = submit(2)
    Generation.objects.filter(pk=third.pk).update(created_at=begin - timedelta(minutes=20))
    refusal = refused(3)
    assert (refusal.rule, refusal.limit) == ("hourly", 2)
    # That of fifty minutes ago makes room first.
    assert refusal.retry_at is not None
    assert abs(refusal.retry_at - (begin + timedelta(minutes=10))) < timedelta(seconds=1)
    with mock.patch.object(timezone, "now", return_value=refusal.retry_at + timedelta(seconds=1)):
        submit(4)


def test_an_hour_reaches_over_midnight() -> None:
    Policy.objects.update(hourly_limit=1, daily_limit=1)
    row = submit(1)
    midnight = limits.day()[1]
    Generation.objects.filter(pk=row.pk).update(created_at=midnight - timedelta(minutes=30), status=Status.SUCCEEDED)
    with mock.patch.object(timezone, "now", return_value=midnight + timedelta(minutes=10)):
        assert refused(2).rule == "hourly"
    with mock.patch.object(timezone, "now", return_value=midnight + timedelta(minutes=31)):
        submit(3)


def test_what_was_granted_counts_today_and_is_gone_tomorrow() -> None:
    Policy.objects.update(daily_limit=1)
    ann, olga = person(), User.objects.create(username="olga")
    assert operating.grant(ann, 1, by=olga)
    assert operating.grant(ann, 1, by=olga), "twice is two"
    for number in range(3):
        submit(number)
    assert refused(4).limit == 3
    tomorrow = limits.day()[1]
    with mock.patch.object(timezone, "now", return_value=tomorrow + timedelta(minutes=1)):
        submit(5)
        assert refused(6).limit == 1
        # What was granted yesterday is not added to.
        assert operating.grant(ann, 1, by=olga)
        submit(7)
        assert refused(8).limit == 2


def test_nothing_is_granted_to_whoever_has_no_limit_per_day() -> None:
    assert not operating.grant(person(), 3, by=User.objects.create(username="olga"))


@pytest.mark.parametrize(("rule", "own"), [("hourly", {"hourly_limit": 5}), ("daily", {"daily_limit": 5})])
def test_twenty_messages_at_once_do_not_pass_a_limit_of_ones_own(rule: str, own: dict[str, int]) -> None:
    person(**own)
    refusals = at_once(20, submit)
    assert Generation.objects.count() == 5
    assert [getattr(error, "rule", error) for error in refusals] == [rule] * 15


# --- how many of one person are rendered at one time


def test_a_second_video_of_one_person_waits_and_others_pass_it() -> None:
    Policy.objects.update(running_limit=1)
    first, second, bobs = submit(1), submit(2), submit(3, BOB)
    assert Generation.objects.claim_next("worker-1") == [first]
    assert Generation.objects.claim_next("worker-2") == [bobs]
    assert Generation.objects.claim_next("worker-3") == []
    first.refresh_from_db()
    first.succeed("worker-1", file="a.mp4", poster="", sha256="", seconds=1)
    assert Generation.objects.claim_next("worker-1") == [second]


def test_a_limit_of_ones_own_holds_back_only_its_person() -> None:
    person(running_limit=1)
    person(BOB, tier=Tier.objects.create(name="gold", running_limit=2))
    rows = [submit(number, who) for who in (ANN, BOB) for number in (who.user_id * 10, who.user_id * 10 + 1)]
    taken = [row.pk for _ in range(4) for row in Generation.objects.claim_next("worker")]
    assert sorted(taken) == sorted(row.pk for row in (rows[0], rows[2], rows[3]))


def test_no_more_than_that_are_rendered_together_either() -> None:
    Policy.objects.update(running_limit=2)
    for number in range(4):
        submit(number)
    assert len(Generation.objects.claim_next("worker", 4)) == 2


def test_eight_workers_at_once_begin_no_more_than_one_person_may_have_running() -> None:
    Policy.objects.update(running_limit=2)
    for number in range(8):
        submit(number)
    taken: list[Generation] = []
    problems = at_once(8, lambda number: taken.extend(Generation.objects.claim_next(f"worker-{number}")))
    assert problems == []
    assert len(taken) == 2
    assert Generation.objects.filter(status=Status.RUNNING).count() == 2


# --- what one video may cost, and its lane


def test_a_cap_of_a_tier_binds_its_people_only() -> None:
    fewest, most = services.model_card().steps_range
    person(tier=Tier.objects.create(name="basic", max_steps=fewest))
    with pytest.raises(InvalidSpec) as refusal:
        services.submit(ANN, f"a cat --steps {most}", request_key="a")
    assert str(refusal.value) == f"--steps must be {fewest}, not {most}."
    assert submit(1).steps == fewest
    assert services.submit(BOB, f"a cat --steps {most}", request_key="b").steps == most


def test_presets_of_a_tier_are_all_that_its_people_may_choose() -> None:
    person(tier=Tier.objects.create(name="basic", presets=["fast"]))
    assert submit(1).preset == "fast", "the default is not theirs"
    with pytest.raises(InvalidSpec):
        services.submit(ANN, "a cat --preset balanced", request_key="a")
    assert services.settings_of(ANN.user_id)[0].presets == ("fast",)
    assert submit(2, BOB).preset == "exact"
    assert services.submit(BOB, "a cat --preset balanced", request_key="b").preset == "balanced"


def test_whoever_is_in_a_higher_lane_is_served_before_everybody_else() -> None:
    person(BOB, tier=Tier.objects.create(name="gold", priority=5))
    anns, bobs = submit(1), submit(2, BOB)
    assert list(Generation.objects.queue_positions()) == [bobs.pk, anns.pk]
    # An operator who takes a prompt out of the first place puts it back into its person's lane.
    olga = User.objects.create(username="olga")
    assert operating.prioritise(bobs, by=olga)
    assert operating.prioritise(bobs, by=olga, first=False)
    bobs.refresh_from_db()
    assert bobs.priority == 5


def test_what_is_left_is_told_by_ones_own_numbers() -> None:
    Policy.objects.update(daily_limit=50)
    person(daily_limit=3, hourly_limit=2, waiting_limit=7)
    submit(1)
    left = personal.allowance(ANN.user_id)
    assert (left.today.left, left.this_hour.left, left.waiting_limit) == (2, 1, 7)
