"""getUpdates: the one method that waits."""

from __future__ import annotations

from copy import deepcopy

from .errors import Json
from .params import Params
from .world import World

# Telegram itself answers after 50 s at the latest.
MAX_WAIT = 50


async def get_updates(world: World, params: Params) -> list[Json]:
    """Confirm what lies below `offset`, then give what waits, for up to `timeout` seconds."""
    limit = params.integer("limit", 100)
    updates = world.updates
    with world.bell.changing():
        updates.allow(params.array("allowed_updates"))
        poll = updates.begin_poll()
        updates.confirm(params.integer("offset"))
        # A webhook set meanwhile, or a second poller, also ends the wait.
        generation = updates.webhook.generation

    def ready() -> bool:
        taken_over = updates.poll != poll or updates.webhook.generation != generation
        return bool(updates.waiting) or taken_over or world.updates is not updates

    await world.bell.until(ready, max(0, min(params.integer("timeout"), MAX_WAIT)))
    with world.bell.reading():
        updates.check_poll(poll)
        return deepcopy(updates.fetch(limit))
