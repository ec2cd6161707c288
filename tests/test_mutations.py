"""The table of mutations still fits the code. That each test turns red is shown by `python -m tests.mutations`."""

from __future__ import annotations

import re

import pytest

from tests.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_what_it_takes_out_is_there_once_and_its_test_exists(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1
    assert mutation.old != mutation.new
    file, _, name = mutation.node.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_no_two_have_the_same_name() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert sorted(set(names)) == sorted(names)


def test_every_test_that_the_list_of_known_bugs_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "known_bugs.md").read_text(encoding="utf-8")))
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    assert named - written == set()


def test_the_list_of_known_bugs_says_what_can_be_taken_out() -> None:
    rows = (ROOT / "docs" / "known_bugs.md").read_text(encoding="utf-8").splitlines()
    taken_out = {row.split("|")[1].strip() for row in rows if "taken out" in row and row.startswith("| ")}
    assert taken_out == {mutation.name.partition(" ")[0] for mutation in MUTATIONS}
