"""Flags, a person's settings and the policy, in this order, decide what is rendered; xN is N rows."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

import pytest
from django.conf import LazySettings
from rq import Queue

from generations import limits, preferences, services
from generations.engine.base import MAX_SEED
from generations.engine.card import InvalidSpec, ModelCard
from generations.flags import InvalidFlag
from generations.models import Generation, Policy, Requester, entitlement
from generations.services import Person, Place

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ANN = Person(user_id=1, display_name="Ann")
numbers = count()


@pytest.fixture(autouse=True)
def large_model(settings: LazySettings, queue: Queue) -> None:
    """The real model's card; its weights are never looked at."""
    settings.MODEL = "iic/text-to-video-synthesis"


def ask(prompt: str, person: Person = ANN, **more: Any) -> Generation:
    return services.submit(person, prompt, request_key=f"key {next(numbers)}", **more)


def choose(**values: Any) -> None:
    services.remember(ANN)
    Requester.objects.filter(user_id=ANN.user_id).update(**values)


def set_policy(**values: Any) -> Policy:
    Policy.current()
    Policy.objects.update(**values)
    return Policy.current()


def look(row: Generation) -> tuple[Any, ...]:
    return row.preset, row.width, row.height, row.frames


def test_whoever_chose_nothing_gets_the_policys_defaults() -> None:
    set_policy(default_preset="balanced")
    assert look(ask("a cat")) == ("balanced", 256, 256, 16)


def test_settings_win_over_the_policy_and_flags_over_the_settings() -> None:
    set_policy(default_preset="balanced", waiting_limit=0)
    choose(preset="draft", aspect="16:9", seconds=3.0)
    assert look(ask("a cat")) == ("draft", 344, 192, 24)
    assert look(ask("a cat --preset fast")) == ("fast", 344, 192, 24)
    assert look(ask("a cat --ar 9:16 --seconds 1")) == ("draft", 192, 344, 8)
    assert look(ask("a cat --size 64x64 --frames 5")) == ("draft", 64, 64, 5)
    assert look(ask("a cat --fps 4")) == ("draft", 344, 192, 12), "three seconds are three seconds"
    assert look(ask("a cat --fps 30"))[3] == 16, "three seconds would be too many frames"


def test_settings_are_one_persons_own() -> None:
    choose(preset="draft", aspect="16:9", seconds=3.0)
    assert look(ask("a cat", Person(user_id=2))) == ("exact", 256, 256, 16)


def test_settings_that_are_not_on_offer_any_more_count_as_none() -> None:
    choose(preset="draft", aspect="16:9", seconds=3.0)
    set_policy(presets=["exact", "fast"], max_frames=16)
    assert look(ask("a cat")) == ("exact", 344, 192, 16)
    set_policy(presets=[], max_frames=0)
    assert look(ask("a cat")) == ("draft", 344, 192, 24), "kept for the day on which they are"


def test_what_a_prompt_said_before_knows_neither_flags_nor_settings() -> None:
    choose(preset="draft")
    request = services.Request(ANN, "a cat --seed 7 x2", "key", as_typed=False)
    [row] = services.submit_all([request])
    assert isinstance(row, Generation)
    assert (row.prompt, row.preset) == ("a cat --seed 7 x2", "exact")
    assert Generation.objects.count() == 1


def test_a_flag_may_name_only_a_preset_that_people_may_choose() -> None:
    set_policy(presets=["exact", "fast"])
    with pytest.raises(InvalidFlag, match=r"^--preset must be exact or fast, not draft\.$"):
        ask("a cat --preset draft")
    with pytest.raises(InvalidFlag, match=r"^--frames must be a whole number from 1 to 32, not 33\.$"):
        ask("a cat --frames 33")
    with pytest.raises(InvalidSpec, match=r"^frames must be a whole number from 1 to 32, not 33\.$"):
        ask("a cat", frames=33)
    assert Generation.objects.count() == Requester.objects.count() == 0


def test_flags_obey_the_policys_caps() -> None:
    set_policy(max_frames=24, max_steps=60, max_pixels=256 * 256)
    with pytest.raises(InvalidFlag, match=r"^--frames must be a whole number from 1 to 24, not 25\.$"):
        ask("a cat --frames 25")
    with pytest.raises(InvalidFlag, match=r"^--steps must be a whole number from 1 to 60, not 61\.$"):
        ask("a cat --steps 61")
    with pytest.raises(InvalidFlag, match=r"^--size: width times height may be 65536 at most, not 512x512\.$"):
        ask("a cat --size 512x512")
    row = ask("a cat --frames 24 --steps 60 --ar 16:9")
    assert (row.frames, row.steps, row.width, row.height) == (24, 60, 336, 192)


@pytest.mark.parametrize("pixels", [1, 64 * 64, 100 * 100, 128 * 256, 10**7])
def test_a_cap_never_makes_the_defaults_illegal(pixels: int) -> None:
    card = preferences.offered_card(ModelCard(), entitlement(Policy(max_frames=1, max_steps=1, max_pixels=pixels)))
    spec = card.spec("a", seed=1)
    assert (spec.frames, spec.steps) == (1, 1)
    assert spec.width * spec.height <= max(pixels, 64 * 64)
    assert spec.width == spec.height


# --- several results


PLACE = Place(5, None, 9, datetime.fromisoformat("2030-01-01T00:00:00+00:00"))


def test_several_results_are_as_many_rows_with_seeds_that_follow() -> None:
    first = ask("a cat --seed 7 x3", place=PLACE)
    rows = list(Generation.objects.order_by("pk"))
    assert rows[0] == first
    assert [(row.prompt, row.seed) for row in rows] == [("a cat", 7), ("a cat", 8), ("a cat", 9)]
    assert [row.chat_id for row in rows] == [5, 5, 5]
    assert [row.deliver_after for row in rows] == [PLACE.deliver_after, None, None], "one is announced"
    assert services.shortfall(first) is None


def test_after_the_last_seed_comes_the_first() -> None:
    ask(f"a cat --seed {MAX_SEED} x2")
    assert [row.seed for row in Generation.objects.order_by("pk")] == [MAX_SEED, 0]


def test_each_result_counts_and_what_does_not_fit_is_remembered() -> None:
    set_policy(daily_limit=3)
    first = ask("a cat x4")
    assert Generation.objects.count() == 3
    kept = services.shortfall(Generation.objects.get(pk=first.pk))
    assert kept is not None
    assert (kept.asked, kept.accepted, kept.refusal.rule, kept.refusal.limit) == (4, 3, "daily", 3)
    with pytest.raises(limits.LimitReached):
        ask("a dog x2")
    assert Generation.objects.count() == 3


def test_a_message_that_comes_again_makes_no_further_results() -> None:
    set_policy(waiting_limit=2)
    one = services.submit(ANN, "a cat x4", request_key="same")
    set_policy(waiting_limit=0)
    assert services.submit(ANN, "a cat x4", request_key="same") == one
    assert Generation.objects.count() == 2
