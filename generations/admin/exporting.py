"""Generations as CSV or JSON: what the list shows, streamed in pieces, so that a million rows take no memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from generations import audit_log
from generations.models import Generation

# More is the work of a copy of the database.
MOST = 100_000
PIECE = 1000
FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
COLUMNS = (
    *("id", "created_at", "requester__user_id", "chat_id", "prompt", "translated_prompt", "negative_prompt"),
    *("status", "delivery", "public_error", "preset", "seed", "frames", "width", "height", "fps", "steps"),
    *("guidance_scale", "style", "priority", "attempt", "host", "started_at", "finished_at", "render_seconds"),
    *("delivered_at", "model_name", "reviewed_by__username", "created_by__username", "parent_id"),
    *("flagged", "rules", "marked_bad"),
)
# What a spreadsheet would take for a formula, and run.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def download(request: HttpRequest, rows: QuerySet[Generation], kind: str) -> StreamingHttpResponse:
    """kind: of FORMATS. Who took what stands in the audit log."""
    assert request.user.is_authenticated
    number = rows.order_by()[:MOST].count()
    facts = {"rows": number, "format": kind, "filter": request.GET.urlencode()[:500]}
    audit_log.write("exported", request.user, by=request.user, after=facts)
    name = f"generations-{timezone.localtime():%Y-%m-%d-%H%M}.{kind}"
    pieces = as_csv(rows) if kind == "csv" else as_json(rows)
    answer = StreamingHttpResponse(pieces, content_type=FORMATS[kind])
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def as_csv(rows: QuerySet[Generation]) -> Iterator[str]:
    yield _line([name.replace("__", "_") for name in COLUMNS])
    for values in _values(rows):
        yield _line([_cell(value) for value in values])


def as_json(rows: QuerySet[Generation]) -> Iterator[str]:
    """An array, one object a line."""
    names = [name.replace("__", "_") for name in COLUMNS]
    before = "[\n"
    for values in _values(rows):
        yield before + json.dumps(dict(zip(names, values, strict=True)), default=_plain, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _values(rows: QuerySet[Generation]) -> Iterator[tuple[Any, ...]]:
    """The newest first. Each piece begins behind the last one: no row is passed over twice, none is counted."""
    last: int | None = None
    left = MOST
    ordered = rows.order_by("-pk")
    while left > 0:
        piece = ordered if last is None else ordered.filter(pk__lt=last)
        found = list(piece.values_list(*COLUMNS)[: min(PIECE, left)])
        yield from found
        if len(found) < PIECE:
            return
        last, left = found[-1][0], left - len(found)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = "" if value is None else _plain(value) if hasattr(value, "isoformat") else str(value)
    # A number below zero is no formula.
    dangerous = isinstance(value, str) and text.startswith(FORMULA)
    return f"'{text}" if dangerous else text


def _plain(value: Any) -> str:
    return timezone.localtime(value).isoformat()


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
