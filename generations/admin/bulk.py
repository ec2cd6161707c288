"""One way to say what became of many rows: how many changed, and which were skipped and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest

from generations.models import Generation

# Numbers that are named for one reason.
NAMED = 20
MEANWHILE = "somebody else was faster"


class Outcomes:
    """Filled row by row, said once."""

    def __init__(self) -> None:
        self.changed = 0
        self._skipped: dict[str, list[int]] = defaultdict(list)

    def skip(self, generation: Generation, reason: str) -> None:
        """generation: as it is now; its state is part of the reason."""
        self._skipped[f"{reason} ({generation.get_status_display().lower()})"].append(generation.pk)

    def say(self, request: HttpRequest, admin: ModelAdmin[Generation], done: str, more: str = "") -> None:
        if self.changed:
            admin.message_user(request, f"{done}: {self.changed}.{more}", messages.SUCCESS)
        if self._skipped:
            admin.message_user(request, f"Skipped: {reasons(self._skipped)}.", messages.WARNING)


def reasons(skipped: Mapping[str, Iterable[int]]) -> str:
    """#4, #7: waits for no review (succeeded); #9: ..."""
    parts = []
    for reason, pks in skipped.items():
        named = list(pks)
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        parts.append(f"{', '.join(f'#{pk}' for pk in named[:NAMED])}{more}: {reason}")
    return "; ".join(parts)
