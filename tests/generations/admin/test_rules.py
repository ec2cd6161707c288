"""Rules on their page, the box to try one, and flagged prompts in the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from generations.models import Generation, Rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]
ADD = "/admin/generations/rule/add/"
TRY = "/admin/generations/rule/try/"
GOOD: dict[str, Any] = {"name": "names", "kind": "words", "pattern": "petra", "action": "block", "enabled": "on"}


def test_a_pattern_that_cannot_be_read_is_marked_on_the_form(page: Client) -> None:
    html = page.post(ADD, GOOD | {"kind": "pattern", "pattern": "(a"}).content.decode()
    assert "RE2 cannot read it: missing ): (a." in html
    assert not Rule.objects.exists()
    assert page.post(ADD, GOOD).status_code == 302
    assert Rule.objects.get().pattern == "petra"


def test_a_rule_is_tried_on_what_people_wrote(page: Client, prompt: Make) -> None:
    prompt(prompt="a film about Petra")
    prompt(prompt="a red circle")
    html = page.post(TRY, {"kind": "words", "pattern": "petra", "newest": 100}).content.decode()
    assert "1 of 2 prompts match" in html
    assert "a film about<mark> petra</mark>" in html


def test_a_stored_rule_is_tried_by_its_number(page: Client) -> None:
    rule = Rule.objects.create(name="names", pattern="petra\npaula")
    assert "petra\npaula</textarea>" in page.get(f"{TRY}?rule={rule.pk}").content.decode()
    assert page.get(f"{TRY}?rule=x").status_code == 200


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(x|x)*y"])
def test_a_pattern_that_would_hang_others_is_tried_in_no_time(pattern: str, page: Client, prompt: Make) -> None:
    prompt(prompt="a" * 4000 + "!")
    prompt(prompt="x" * 4000)
    html = page.post(TRY, {"kind": "pattern", "pattern": pattern, "newest": 100}).content.decode()
    assert "0 of 2 prompts match" in html


def test_hostile_prompts_stay_words_in_the_trial(page: Client, prompt: Make) -> None:
    prompt(prompt='petra "><img src=x onerror=alert(1)>')
    html = page.post(TRY, {"kind": "pattern", "pattern": "<img.*", "newest": 10}).content.decode()
    assert "<img src=x" not in html
    assert "1 of 1 prompts match" in html


def test_flagged_prompts_are_marked_and_found(page: Client, prompt: Make) -> None:
    flagged, plain = prompt(flagged=True, rules=["names"], prompt="petra"), prompt(prompt="a red circle")
    html = page.get("/admin/generations/generation/?flagged=yes").content.decode()
    assert (f"#{flagged.pk} petra" in html, f"#{plain.pk} a red circle" in html) == (True, False)
    assert html.count("pill-flagged") == 1
    assert "names" in page.get(f"/admin/generations/generation/{flagged.pk}/change/").content.decode()


def test_whoever_may_not_change_rules_may_not_try_out_on_prompts_that_he_may_not_see(
    staff: Callable[..., Client],
) -> None:
    assert staff("view_rule").get(TRY).status_code == 403
    assert staff("view_rule", "view_generation").get(TRY).status_code == 200
