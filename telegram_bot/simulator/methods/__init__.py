"""The Bot API's methods. Each takes the world and the parameters, and gives the result or raises ApiError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ApiError
from ..params import Params
from ..world import World
from . import account, chatting, editing, inline, sending

Method = Callable[[World, Params], Any]

# getUpdates waits and therefore lives in polling.py.
METHODS: dict[str, Method] = {
    name.lower(): method
    for group in (account.METHODS, sending.METHODS, editing.METHODS, chatting.METHODS, inline.METHODS)
    for name, method in group.items()
}


def perform(world: World, name: str, params: Params) -> Any:
    """Carry out one method; Telegram does not mind capitals."""
    method = METHODS.get(name.lower())
    if method is None:
        raise ApiError(404, "Not Found: method not found")
    with world.bell.changing():
        return method(world, params)
