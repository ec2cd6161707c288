"""Two operators never read one item for nothing: whoever looks at it first has it for a while.

A courtesy, and no lock: what decides is the conditional UPDATE of the decision itself. So it stands in no audit log.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from generations.models import Generation
from generations.services import Operator

# Long enough to watch a video twice and to type a reason. Renewed whenever its operator comes back to it.
CLAIM = timedelta(minutes=2)


def take(row: Generation, *, by: Operator) -> bool:
    """Mine now? False while another operator has it."""
    free = Q(review_claimed_by=None) | Q(review_claimed_by=by) | Q(review_claimed_until__lt=Now())
    mine = {"review_claimed_by": by, "review_claimed_until": Now() + CLAIM}
    return Generation.objects.filter(free, pk=row.pk).update(**mine) == 1


def holders(rows: Iterable[Generation]) -> dict[int, str]:
    """Who has which of them, by number."""
    claimed = Generation.objects.filter(pk__in=[row.pk for row in rows], review_claimed_until__gte=Now())
    return dict(claimed.values_list("pk", "review_claimed_by__username"))
