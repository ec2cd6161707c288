"""Who changed the policy when, back to an older one, and the whole of it as a file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from generations import limits, operating, services
from generations.models import AuditEntry, Policy, PolicyVersion
from generations.services import Person
from tests.generations.admin.test_policy import FORM, values

pytestmark = [pytest.mark.services, pytest.mark.django_db]

VERSIONS = "/admin/generations/policy/versions/"
IMPORT = "/admin/generations/policy/import/"


def bring(page: Client, text: str | dict[str, Any], **more: str) -> str:
    sent = text if isinstance(text, str) else json.dumps(text)
    return page.post(IMPORT, {"text": sent, **more}, follow=True).content.decode()


def test_each_change_makes_a_version_with_its_operator(page: Client, operator: User) -> None:
    Policy.current()
    page.post(FORM, values(daily_limit=7))
    page.post(FORM, values(daily_limit=7))
    operating.pause(by=operator)
    html = page.get(VERSIONS).content.decode()
    kept = list(PolicyVersion.objects.order_by("pk"))
    assert [version.by_label for version in kept] == ["", "olga", "olga"], "what changed nothing makes none"
    assert [version.values["daily_limit"] for version in kept] == [50, 7, 7]
    assert [version.values["paused"] for version in kept] == [False, False, True]
    assert '<th scope="row">daily_limit</th><td><bdi>50</bdi></td><td><bdi>7</bdi></td>' in html
    assert '<th scope="row">paused</th><td><bdi>False</bdi></td><td><bdi>True</bdi></td>' in html


def test_a_policy_from_before_there_were_versions_is_kept_with_its_first_change(page: Client) -> None:
    Policy.objects.bulk_create([Policy(pk=1, daily_limit=33)])
    page.post(FORM, values(daily_limit=7))
    assert [version.values["daily_limit"] for version in PolicyVersion.objects.order_by("pk")] == [33, 7]


def test_an_older_version_is_looked_at_and_then_restored(page: Client) -> None:
    Policy.current()
    page.post(FORM, values(daily_limit=1))
    page.post(FORM, values(daily_limit=9))
    older = PolicyVersion.objects.all()[1]
    html = bring(page, older.values)
    assert "<td><bdi>9</bdi></td><td><bdi>1</bdi></td>" in html
    assert Policy.current().daily_limit == 9, "only looked at"

    assert "Applied: 1 changed." in bring(page, older.values, apply="Apply")
    services.submit(Person(4711), "a red circle", request_key="a")
    with pytest.raises(limits.LimitReached) as refusal:
        services.submit(Person(4711), "a red circle", request_key="b")
    assert (refusal.value.rule, refusal.value.limit) == ("daily", 1), "it binds the next message"
    assert AuditEntry.objects.first().after == {"daily_limit": 1}
    assert PolicyVersion.objects.first().values["daily_limit"] == 1


def test_what_is_exported_can_be_imported_and_changes_nothing(page: Client) -> None:
    page.post(FORM, values(greeting="Grüß dich <b>", quiet_from=22, quiet_until=6, presets=["exact"], paused="on"))
    answer = page.get("/admin/generations/policy/export/")
    text = answer.content.decode()
    assert json.loads(text)["greeting"] == "Grüß dich <b>"
    assert "policy.json" in answer.headers["Content-Disposition"]
    assert "This would change nothing" in bring(page, text)


def test_settings_that_are_not_named_stay(page: Client) -> None:
    page.post(FORM, values(daily_limit=7, language_note="on", quiet_from=22, quiet_until=6))
    bring(page, {"waiting_limit": 3, "quiet_from": None, "quiet_until": None}, apply="Apply")
    policy = Policy.current()
    assert (policy.daily_limit, policy.waiting_limit, policy.language_note) == (7, 3, True)
    assert (policy.quiet_from, policy.quiet_until) == (None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "This field is required."),
        ("{", "That is no JSON"),
        ("[" * 100_000, "That is no JSON"),
        ("[1]", "That is no policy"),
        ('{"colour": 1, "daily_limit": "many"}', "colour: there is no such setting."),
        ('{"colour": 1, "daily_limit": "many"}', "daily_limit: a whole number is expected."),
        ('{"daily_limit": true}', "daily_limit: a whole number is expected."),
        ('{"paused": 1}', "paused: true or false is expected."),
        ('{"greeting": null}', "greeting: null is no value for it."),
        ('{"terms_version": 4}', "terms_version: there is no such setting."),
        ('{"presets": "exact"}', "presets: a list of names is expected."),
        ('{"daily_limit": -1}', "daily_limit: "),
        ('{"review": "never"}', "review: "),
        ('{"presets": ["magic"]}', "presets: "),
        ('{"max_pixels": 1}', "at least; 0 for no cap."),
    ],
)
def test_what_is_wrong_with_a_file_is_named_and_nothing_is_changed(text: str, said: str, page: Client) -> None:
    before = Policy.current().values()
    html = bring(page, text, apply="Apply")
    assert said in html.replace("&#x27;", "'").replace("&quot;", '"')
    assert Policy.current().values() == before


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "The default must be one of those on offer.": {"presets": ["fast"], "default_preset": "exact"},
    "Give both hours, or none.": {"open_from": 8},
    "From one hour to the same one is nothing": {"quiet_from": 8, "quiet_until": 8},
    "One person could not have 300 where the whole queue takes 200.": {"waiting_limit": 300},
}


@pytest.mark.parametrize("said", CONTRADICTIONS)
def test_a_policy_that_contradicts_itself_is_refused_on_the_form_and_in_a_file(said: str, page: Client) -> None:
    before = Policy.current().values()
    assert said in page.post(FORM, values(**CONTRADICTIONS[said])).content.decode()
    assert said in bring(page, CONTRADICTIONS[said], apply="Apply")
    assert Policy.current().values() == before


def test_hostile_words_in_versions_stay_words(page: Client) -> None:
    Policy.current()
    evil = '"><img src=x onerror=alert(1)></script><script>alert(1)</script>'
    page.post(FORM, values(pause_notice=evil))
    page.post(FORM, values(pause_notice="calm"))
    for html in (page.get(VERSIONS).content.decode(), bring(page, {"pause_notice": evil})):
        assert "<img src=x" not in html
        assert "<script>alert" not in html
