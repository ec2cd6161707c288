"""What a person is told by themselves, when an operator does something to their standing.

Other apps know how: each adds a function from AppConfig.ready(), as with erasing.ELSEWHERE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from generations.models import Requester

Event = Literal["access given", "granted"]
# Of the event, the person, and a number that belongs to it. Called in the transaction of the change itself.
TELLERS: list[Callable[[Event, Requester, int], None]] = []


def tell(event: Event, requester: Requester, number: int = 0) -> None:
    for teller in TELLERS:
        teller(event, requester, number)
