"""Where a generation comes from and what came of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from generations.models import Generation

# Beyond these nobody reads the tree, and the list can be searched.
MOST_ANCESTORS, MOST_OF_A_GENERATION = 20, 20

ANCESTORS = """
WITH RECURSIVE above(id, parent_id, distance) AS (
    SELECT id, parent_id, 0 FROM generations_generation WHERE id = %s
    UNION ALL
    SELECT row.id, row.parent_id, distance + 1 FROM generations_generation AS row
    JOIN above ON row.id = above.parent_id WHERE distance < %s
)
SELECT row.* FROM generations_generation AS row JOIN above ON row.id = above.id WHERE distance > 0
ORDER BY distance DESC
"""


@dataclass(frozen=True)
class Relative:
    row: Generation
    depth: int
    is_this: bool = False

    @property
    def shown_depth(self) -> int:
        """Deeper ones stand below one another: a phone is narrow."""
        return min(self.depth, 6)


@dataclass(frozen=True)
class Lineage:
    """In the order of a tree. more: some are left out."""

    relatives: list[Relative]
    more: bool

    def __bool__(self) -> bool:
        return len(self.relatives) > 1


def lineage(generation: Generation) -> Lineage:
    """Three queries, however large the family is."""
    above = list(Generation.objects.raw(ANCESTORS, [generation.pk, MOST_ANCESTORS]))
    most = MOST_OF_A_GENERATION
    children = list(Generation.objects.filter(parent=generation).order_by("pk")[: most + 1])
    grandchildren = list(Generation.objects.filter(parent__in=children).order_by("pk")[: most + 1] if children else [])
    below = defaultdict[int | None, list[Generation]](list)
    for row in grandchildren[:most]:
        below[row.parent_id].append(row)
    tree = [Relative(row, depth) for depth, row in enumerate(above)]
    tree.append(Relative(generation, len(above), is_this=True))
    for child in children[:most]:
        tree.append(Relative(child, len(above) + 1))
        tree += [Relative(row, len(above) + 2) for row in below[child.pk]]
    return Lineage(tree, more=len(children) > most or len(grandchildren) > most or len(above) == MOST_ANCESTORS)
