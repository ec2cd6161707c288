"""The positions that people are told, against a playthrough that does one turn after the other."""

from __future__ import annotations

import heapq
from collections import deque

from hypothesis import example, given
from hypothesis import strategies as st

from generations import fair_order

# Priority and person of queued rows, in the order in which GenerationQuerySet.in_fair_order() has them.
queues = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 5, -1]), st.integers(1, 6)), max_size=40).map(
    lambda rows: [(pk, *row) for pk, row in enumerate(sorted(rows, key=lambda row: -row[0]), 101)]
)


def turn_by_turn(queued: list[tuple[int, int, int]]) -> dict[int, int]:
    """Whoever was served longest ago comes first, looked up anew for every turn."""
    lanes: dict[int, dict[int, deque[int]]] = {}
    for pk, priority, person in queued:
        lanes.setdefault(priority, {}).setdefault(person, deque()).append(pk)
    positions: dict[int, int] = {}
    served: dict[int, int] = {}
    for _, people in sorted(lanes.items(), reverse=True):
        turns = [(served.get(person, place - len(people)), person) for place, person in enumerate(people)]
        heapq.heapify(turns)
        while turns:
            _, person = turns[0]
            positions[people[person].popleft()] = served[person] = len(positions) + 1
            if people[person]:
                heapq.heapreplace(turns, (served[person], person))
            else:
                heapq.heappop(turns)
    return positions


@given(queues)
@example([(1, 5, 1), (2, 0, 1), (3, 0, 2), (4, 0, 1)])
def test_positions_are_those_of_a_queue_that_is_served_turn_by_turn(queued: list[tuple[int, int, int]]) -> None:
    told = fair_order.positions(queued)
    assert told == turn_by_turn(queued)
    assert list(told.values()) == list(range(1, len(queued) + 1))


def test_who_was_served_in_the_priority_lane_comes_after_those_who_wait_for_their_first() -> None:
    assert fair_order.positions([(1, 5, 1), (2, 0, 1), (3, 0, 2), (4, 0, 1)]) == {1: 1, 3: 2, 2: 3, 4: 4}
