"""What operators did: write() is the only way into it, called in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import ForeignKey, Model, Q, QuerySet

from generations.models import OWN_LIMITS, AuditEntry, Generation, Requester

Via = AuditEntry.Via
Action = Literal[
    "added",
    "changed",
    "deleted",
    "password changed",
    "approved",
    "rejected",
    "held",
    "prioritised",
    "marked bad",
    "files deleted",
    "exported",
    "cancelled",
    "re-run",
    "sent again",
    "banned",
    "unbanned",
    "granted",
    "messaged",
    "begun",
    "stopped",
    "access given",
    "access denied",
    "access withdrawn",
    "revoked",
    "paused",
    "resumed",
    "erased",
]

ERASED = "(erased)"
# Of rows that hold what people wrote, only these are copied.
COPIED: dict[type[Model], frozenset[str]] = {
    Generation: frozenset({"status", "delivery"}),
    Requester: frozenset({"notes", "review", "tier", *OWN_LIMITS}),
}
NEVER_COPIED = frozenset({"password", "last_login"})

_via: ContextVar[AuditEntry.Via] = ContextVar("via", default=Via.COMMAND)


@contextmanager
def through(via: AuditEntry.Via) -> Iterator[None]:
    """What is written inside came this way."""
    before = _via.set(via)
    try:
        yield
    finally:
        _via.reset(before)


def write(
    action: Action,
    target: Model,
    *,
    by: AbstractBaseUser | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    note: str = "",
) -> AuditEntry:
    """Of before and after only what differs is kept. by: None is the system itself."""
    old, new = dict(before or {}), dict(after or {})
    same = {name for name in old.keys() & new.keys() if old[name] == new[name]}
    person = target.pk if isinstance(target, Requester) else getattr(target, "requester_id", None)
    facts: dict[str, Any] = {
        "actor": by,
        "actor_label": by.get_username() if by is not None else "",
        "via": _via.get() if by is not None else Via.SYSTEM,
        "action": action,
        "object_type": target._meta.label_lower,
        "object_id": str(target.pk),
        "object_label": (f"#{target.pk}" if isinstance(target, Generation) else str(target))[:200],
        "person_id": person,
        "before": {name: value for name, value in old.items() if name not in same},
        "after": {name: value for name, value in new.items() if name not in same},
        "note": note,
    }
    return AuditEntry.objects.create(**facts)


def snapshot(row: Model) -> dict[str, Any]:
    """What an operator can change of it, as it is stored in JSON."""
    only = COPIED.get(type(row))
    values: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        wanted = field.editable and not field.primary_key if only is None else field.name in only
        if wanted and field.name not in NEVER_COPIED:
            value = getattr(row, field.name if isinstance(field, ForeignKey) else field.attname)
            plain = value is None or isinstance(value, bool | int | float | str | list | dict)
            values[field.name] = value if plain else str(value)
    for many in row._meta.many_to_many:
        values[many.name] = sorted(str(other) for other in getattr(row, many.name).all())
    return values


def forget(requester: Requester) -> None:
    """That somebody did something to somebody stays; to whom, and all words, go. Before the person's row goes."""
    _blank(AuditEntry.objects.filter(person=requester))


def forget_value(model: type[Model], name: str, value: Any) -> None:
    """The same of rows that tell who somebody is without being about a requester: all that had this value."""
    entries = AuditEntry.objects.filter(object_type=model._meta.label_lower)
    had = entries.filter(Q(**{f"before__{name}": value}) | Q(**{f"after__{name}": value}))
    _blank(entries.filter(object_id__in=list(had.values_list("object_id", flat=True))))


def _blank(entries: QuerySet[AuditEntry]) -> None:
    entries.update(object_label=ERASED, before={}, after={}, note="")
