"""The operators' first page: where everything stands now, and how the last day went. It refreshes itself: live.js."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from generations import figures, overview
from generations.admin.charts import Bar, stacked_bars
from generations.admin.shared import seconds
from generations.overview import Worker

MAY_SEE = ("generations.view_generation", "generations.change_generation")


def may_see(request: HttpRequest) -> bool:
    return any(request.user.has_perm(permission) for permission in MAY_SEE)


def facts() -> dict[str, Any]:
    seen, day = overview.now(), figures.lately()
    return {
        "seen": seen,
        "workers": list(_workers(seen.workers)),
        "day": day,
        "spreads": [
            (name, seconds(spread.median), seconds(spread.p95))
            for name, spread in (("Waiting", day.wait), ("Rendering", day.render))
            if spread is not None
        ],
        "chart": _chart(day),
    }


def fragment(request: HttpRequest) -> HttpResponse:
    """What live.js puts in the place of what is shown."""
    if not may_see(request):
        raise PermissionDenied
    return TemplateResponse(
        request, "generations/admin/dashboard.html", {**admin.site.each_context(request), **facts()}
    )


def _workers(workers: list[Worker] | Any) -> Iterator[dict[str, Any]]:
    now = timezone.now()
    for worker in workers:
        heard = max(0.0, (now - worker.heard_at).total_seconds()) if worker.heard_at else None
        jobs = [
            {"pk": pk, "percent": percent, "step": round(percent * worker.steps[pk] / 100), "steps": worker.steps[pk]}
            for pk, percent in worker.renders
        ]
        yield {"name": worker.name, "device": worker.device, "heard": seconds(heard), "jobs": jobs}


def _chart(day: figures.Figures) -> str:
    bars = [
        Bar(
            name=f"{hour.begins:%H:%M} to {hour.begins:%H}:59",
            values=(hour.made, hour.failed),
            label=f"{hour.begins:%H}" if place % 3 == 2 else "",
        )
        for place, hour in enumerate(day.hours)
    ]
    return stacked_bars("hours", "Videos per hour, the last 24 hours", ("made", "failed"), bars)
