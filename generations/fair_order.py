"""The order in which queued rows are served, played through without touching them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def positions(queued: Iterable[tuple[int, int, int]]) -> dict[int, int]:
    """Position (1 = next) of every row, by its number and in that order.

    queued: number, priority and person of each, as GenerationQuerySet.in_fair_order() has them at this moment.
    """
    lanes: dict[int, dict[int, list[int]]] = {}
    for pk, priority, person in queued:
        people = lanes.setdefault(priority, {})
        if person in people:
            people[person].append(pk)
        else:
            people[person] = [pk]
    order: dict[int, int] = {}
    # By person, the latest turn so far.
    served: dict[int, int] = {}
    for _, people in sorted(lanes.items(), reverse=True):
        # Whoever has not had a turn yet keeps their place before all who have, whichever lane that was in.
        turns = sorted(people, key=lambda person: served.get(person, 0))
        for person, pk in _rounds(turns, people):
            order[pk] = served[person] = len(order) + 1
    return order


def _rounds(turns: list[int], people: dict[int, list[int]]) -> Iterator[tuple[int, int]]:
    """Everybody's first, in this order, then everybody's second: who has just been served comes last."""
    done = 0
    while turns:
        for person in turns:
            yield person, people[person][done]
        done += 1
        turns = [person for person in turns if len(people[person]) > done]
