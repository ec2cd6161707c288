"""docs/features.md claims nothing that no test shows: every row is there once, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STATES = {"works", "partly", "not yet", "left out"}


def rows() -> list[tuple[int, str, str]]:
    """Number, state, and the test or the reason."""
    lines = (ROOT / "docs" / "features.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d", line)]
    return [(int(number), state, why) for number, _, state, why in cells]


def test_each_of_the_94_rows_is_there_once_with_a_state() -> None:
    assert [number for number, _, _ in rows()] == list(range(1, 95))
    assert {state for _, state, _ in rows()} <= STATES
    assert [number for number, _, why in rows() if not why] == []


def test_what_works_is_shown_by_a_test_that_exists() -> None:
    named = [(number, *name) for number, _, why in rows() for name in re.findall(r"`([\w/]+\.py)::(test_\w+)`", why)]
    missing = []
    for number, file, test in named:
        path = ROOT / "tests" / file
        if not path.is_file() or f"def {test}(" not in path.read_text(encoding="utf-8"):
            missing.append(f"{number}: {file}::{test}")
    assert missing == []
    # CI is shown by the run itself.
    assert {number for number, state, _ in rows() if state == "works"} - {number for number, *_ in named} == {93}


def test_what_is_missing_names_an_issue_or_says_that_there_is_none() -> None:
    without = [number for number, state, why in rows() if state == "not yet" and not re.search(r"issue", why)]
    assert without == []


def test_what_people_meet_in_the_chat_is_shown_by_a_bot_that_talks_to_the_stand_in() -> None:
    """One step at a time (the fixture `house`), or all of it at work (`bot`)."""
    meant = [(number, why) for number, state, why in rows() if number <= 43 and state in {"works", "partly"}]
    unproven = []
    for number, why in meant:
        named = re.findall(r"`(telegram_bot/\w+\.py)::(test_\w+)`", why)
        if not any(talks_to_the_stand_in(ROOT / "tests" / file, test) for file, test in named):
            unproven.append(number)
    assert unproven == []


def talks_to_the_stand_in(path: Path, test: str) -> bool:
    source = path.read_text(encoding="utf-8")
    return re.search(rf"def {test}\([^)]*\b(house: House|bot: Callable)\b", source) is not None
