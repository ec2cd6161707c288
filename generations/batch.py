"""Which rows share a render, and what one of them does to the others: nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils.translation import gettext_noop

from generations.engine.base import Engine, EngineError, Outcome, RenderCancelled
from generations.models import Generation

logger = logging.getLogger(__name__)

# Seconds. What people send in one moment does not arrive in one moment.
WINDOW = 0.1

PUT_BACK = gettext_noop("This video could not be made together with others.")


def claim(owner: str, maker: Engine) -> list[Generation]:
    """Take the row whose turn it is and those that may share its render: as many as BATCH_SIZE and memory allow.

    Waits for more of them once, for WINDOW, and only where the row was not the only one: a single prompt is begun at
    once.
    """
    queue = Generation.objects.in_fair_order()
    candidate = queue.first()
    if candidate is None:
        return []
    # Another worker may be faster. Then the size is a little off, and the engine shares passes as memory allows.
    size = maker.together(candidate.spec(), settings.BATCH_SIZE)
    rows = Generation.objects.claim_next(owner, size)
    if 0 < len(rows) < size and rows[0].attempt == 1 and (len(rows) > 1 or queue.exists()):
        time.sleep(WINDOW)
        rows += Generation.objects.claim_mates(rows[0], owner, size - len(rows))
    return rows


def render(
    rows: Sequence[Generation],
    maker: Engine,
    reporters: Sequence[Callable[[int, int], None]],
    conclude: Callable[[Generation, Outcome | SystemExit], None],
) -> None:
    """Render the rows together; conclude each with its frames, or with what ended it.

    Raises DatabaseError when a row could not be concluded, after the others were.
    """
    stopped: set[int] = set()

    def on_step(place: int, done: int, total: int) -> None:
        try:
            reporters[place](done, total)
        except RenderCancelled as reason:
            # At once: the others may take minutes more.
            stopped.add(place)
            conclude(rows[place], reason)
            raise

    outcomes: Sequence[Outcome | SystemExit]
    try:
        outcomes = maker.render([row.spec() for row in rows], on_step)
    except DatabaseError:
        raise
    # A library may call sys.exit(); RQ swallows that, and the rows would wait for their leases to lapse.
    except (Exception, SystemExit) as error:
        outcomes = [error if len(rows) == 1 else _not_together(error)] * len(rows)
    problem: DatabaseError | None = None
    for place, (row, outcome) in enumerate(zip(rows, outcomes, strict=True)):
        try:
            if place not in stopped:
                conclude(row, outcome)
        except DatabaseError as error:
            # Nothing can be recorded. The lease lapses and the sweep takes over.
            problem = error
    if problem is not None:
        raise problem


def _not_together(error: BaseException) -> EngineError:
    """Nobody knows whose fault it is, or that of how many they are: each goes back to the queue, to be rendered alone.

    RQ's time limit, too, speaks of one video.
    """
    logger.error("Rendering several together failed: %r", error, exc_info=error)
    return EngineError(f"rendered together with others: {error!r}", public_reason=PUT_BACK, retryable=True)
