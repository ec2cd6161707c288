"""F9: many people at once, and one who does not stop. Everybody is answered, fairly and within Telegram's limits."""

from __future__ import annotations

from tests.faults.conftest import StartSystem
from tests.faults.flood import PERSON_LIMIT, Flood, Plan


def test_a_flood_is_answered_message_by_message_and_nobody_is_pushed_aside(new_system: StartSystem) -> None:
    """The short form of `python -m tests.faults.run --flood`. How soon is measured there, on a machine that is idle."""
    system = new_system()
    flood = Flood(system, Plan(people=25, each=3, greedy=60, seconds=8, queue_limit=30, slack=60))
    flood.run()
    assert flood.account is not None
    assert flood.account.problems == [], flood.summary()
    assert flood.figures.most_unfinished_of_a_person == PERSON_LIMIT
    assert flood.figures.most_unfinished == 30
    assert flood.figures.messages == flood.figures.accepted + flood.figures.refused == 25 * 3 + 60
    assert 0 < flood.figures.refusals_sent < flood.figures.refused, "equal refusals that wait go out as one"
