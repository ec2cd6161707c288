"""The block list: what words and patterns find, what cannot get round them, and that no pattern hangs anybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from generations import limits, rules, services
from generations.models import Generation, Policy, Rule, Status
from generations.services import Person, Place, Request

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ALICE = Person(1001, "Alice")
LONG = "a" * 4096


def rule(pattern: str = "petra", **facts: Any) -> Rule:
    return Rule.objects.create(**{"name": f"rule {Rule.objects.count()}", "pattern": pattern, **facts})


def ask(*prompts: str) -> list[Any]:
    numbered = enumerate(prompts, Generation.objects.count())
    return services.submit_all([Request(ALICE, prompt, f"test:{number}") for number, prompt in numbered])


@pytest.mark.parametrize(
    ("words", "prompt", "found"),
    [
        ("petra", "a film about Petra", True),
        ("petra", "PETRA!", True),
        ("petra", "petras house", False),
        ("petra", "xpetra", False),
        # Telegram's own mark-up is no way round.
        ("petra", "petra_2", True),
        ("petra", "_petra_", True),
        ("Café", "a cafe at night", True),
        ("cafe", "a cafe\u0301 at night", True),
        ("petra", "ｐｅｔｒａ", True),
        ("petra", "pe\u200btra and pe\u00adtra", True),
        ("straße", "STRASSE", True),
        ("big brother", "a Big   brother", True),
        ("big brother", "big\nbrother", True),
        ("one\ntwo", "the second is two", True),
        ("a+b", "what is a+b?", True),
        ("a+b", "aab", False),
        ("петра", "Это Петра.", True),
        ("猫", "一只猫在跑", True),
        ("ねこ", "かわいいねこです", True),
        # Vowel signs belong to their letter.
        ("क", "का", False),
        ("@spam", "see me@spam now", True),
        ("petra", "", False),
    ],
)
def test_words_are_found_whole_in_whatever_dress(words: str, prompt: str, found: bool) -> None:
    assert (rules.finder(Rule.Kind.WORDS, words).search(rules.normalised(prompt)) is not None) is found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"(a+)+$", False),
        (r"(a|a)*b", False),
        (r"(.*a){20}b", False),
        (r"(x+x+)+y", False),
        (r"^(([a-z])+.)+[0-9]([a-z])+$", False),
        (r"(a+)+!", True),
    ],
)
def test_a_pattern_that_would_hang_others_is_answered(pattern: str, found: bool) -> None:
    # An engine that goes back would not come to the end of this in a lifetime.
    assert (rules.finder(Rule.Kind.PATTERN, pattern).search(LONG + "!") is not None) is found


@pytest.mark.parametrize("pattern", [r"(.{0,31}){0,31}z", r"([a-z]{1,100}){1,10}!", r"a.{900}z"])
def test_a_pattern_that_costs_too_much_for_each_letter_is_refused(pattern: str) -> None:
    with pytest.raises(rules.BadPattern, match=r"It is too large: \d+ steps, of at most 5000"):
        rules.finder(Rule.Kind.PATTERN, pattern)


def test_no_character_makes_a_prompt_many_times_longer() -> None:
    longest = max(len(rules.normalised(chr(code))) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    assert longest <= rules.LONGEST_FORM


@pytest.mark.parametrize(
    ("pattern", "prompt"), [("café|thé", "a CAFE\u0301"), ("Straße [0-9]+", "strasse 12"), (r"\bPETRA\b", "petra")]
)
def test_a_pattern_is_compared_as_the_text_is(pattern: str, prompt: str) -> None:
    assert rules.finder(Rule.Kind.PATTERN, pattern).search(rules.normalised(prompt)) is not None


@pytest.mark.parametrize("pattern", ["(", "[a", "(?=x)", r"(a)\1", "a{5000}", "   ", ".*", "x*"])
def test_what_cannot_be_a_rule_is_said(pattern: str) -> None:
    with pytest.raises(rules.BadPattern):
        rules.finder(Rule.Kind.PATTERN, pattern)


def test_a_rule_may_hold_as_many_words_as_its_field() -> None:
    words = "\n".join(f"word{number:03}" for number in range(200))
    assert len(words) < 2000
    assert rules.finder(Rule.Kind.WORDS, words).search("say word199 now") is not None
    assert rules.finder(Rule.Kind.WORDS, words + "\n猫\n@spam").search("say word1999") is None


def test_blank_words_are_no_rule() -> None:
    with pytest.raises(rules.BadPattern, match="There are no words"):
        rules.finder(Rule.Kind.WORDS, " \n\u200b\n")


def test_a_blocked_prompt_is_refused_with_the_reason_and_leaves_nothing() -> None:
    rule(action=Rule.Action.BLOCK, reason="No real people.")
    [refusal, other] = ask("Petra dancing", "a red circle")
    assert isinstance(refusal, limits.LimitReached)
    assert (refusal.rule, refusal.reason) == ("blocked", "No real people.")
    assert [row.prompt for row in Generation.objects.all()] == ["a red circle"]
    assert isinstance(other, Generation)


def test_a_held_prompt_waits_whatever_the_mode_says() -> None:
    rule(action=Rule.Action.HOLD)
    [row] = ask("Petra dancing")
    assert (row.status, row.flagged, row.rules) == (Status.PENDING_REVIEW, True, ["rule 0"])
    assert [(event.kind, event.detail) for event in row.events.all()] == [("held for review", "rules: rule 0")]


def test_after_a_rule_has_held_the_prompt_its_video_is_still_looked_at_where_all_are() -> None:
    Policy.objects.update_or_create(pk=1, defaults={"review": Policy.Review.BEFORE_DELIVERY})
    rule(action=Rule.Action.HOLD)
    [row] = services.submit_all([Request(ALICE, "Petra dancing", "test:held", Place(chat_id=1001))])
    assert isinstance(row, Generation)
    assert (row.status, row.hold_delivery) == (Status.PENDING_REVIEW, True)


def test_a_flagged_prompt_is_made_and_marked() -> None:
    rule(action=Rule.Action.FLAG)
    rule("dancing", action=Rule.Action.FLAG)
    [row, plain] = ask("Petra dancing", "a red circle")
    assert (row.status, row.flagged, row.rules) == (Status.QUEUED, True, ["rule 0", "rule 1"])
    assert (plain.flagged, plain.rules) == (False, [])


def test_a_rule_looks_at_what_is_not_to_be_shown_and_at_the_translation() -> None:
    rule(action=Rule.Action.BLOCK)
    [by_flag] = ask("a circle --no petra")
    [translated] = services.submit_all([Request(ALICE, "петрa", "test:9", translation="Petra dances")])
    assert [type(outcome) for outcome in (by_flag, translated)] == [limits.LimitReached] * 2


def test_a_change_binds_the_next_prompt() -> None:
    own = rule(action=Rule.Action.BLOCK)
    assert isinstance(ask("petra")[0], limits.LimitReached)
    Rule.objects.filter(pk=own.pk).update(pattern="paula")
    assert isinstance(ask("petra")[0], Generation)
    Rule.objects.filter(pk=own.pk).update(pattern="petra", enabled=False)
    assert isinstance(ask("petra again")[0], Generation)


def test_twenty_prompts_together_read_the_rules_once() -> None:
    rule(action=Rule.Action.FLAG)
    Policy.objects.update_or_create(pk=1, defaults={"waiting_limit": 0})
    with CaptureQueriesContext(connection) as asked:
        ask(*(f"petra {number}" for number in range(20)))
    assert sum('"generations_rule"' in query["sql"] for query in asked) == 1
    assert Generation.objects.filter(flagged=True).count() == 20


def test_an_operator_may_run_it_again_and_sees_the_flag() -> None:
    [row] = ask("Petra dancing")
    rule(action=Rule.Action.BLOCK)
    again = services.rerun(row, by=User.objects.create(username="olga"))
    assert (again.status, again.rules) == (Status.QUEUED, ["rule 0"])


def test_the_operators_negative_prompt_counts_where_nobody_says_one() -> None:
    Policy.objects.update_or_create(pk=1, defaults={"negative_prompt": "text, watermark"})
    [plain, own] = ask("a red circle", "a red circle --no blur")
    assert (plain.negative_prompt, own.negative_prompt) == ("text, watermark", "blur")


def test_a_trial_tells_what_it_would_find_and_stores_nothing() -> None:
    ask("Petra dancing", "a red circle", "the house of Petra")
    trial = rules.try_out(Rule.Kind.WORDS, "petra")
    assert (trial.looked_at, trial.found, trial.is_cut) == (3, 2, False)
    assert [(hit.before, hit.match.strip(), hit.after) for hit in trial.hits] == [
        ("the house of", "petra", ""),
        ("", "petra", "dancing"),
    ]
    assert rules.try_out(Rule.Kind.WORDS, "petra", 1).looked_at == 1
    assert not Rule.objects.exists()
