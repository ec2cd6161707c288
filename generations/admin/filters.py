"""What the list of generations can be narrowed to. None of them looks at every row to find out what there is."""

from __future__ import annotations

from collections import Counter

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from generations import afterwards
from generations.admin.shared import BannedFilter, shortened
from generations.engine.presets import PRESETS
from generations.models import Generation, GenerationEvent, Status

Choices = list[tuple[str, str]]

# Workers and reasons are offered that the newest so many rows have.
LOOKED_AT = 1000
OFFERED = 10


class RequesterBannedFilter(BannedFilter):
    title = "requester"
    parameter_name = "requester_banned"
    field = "requester__banned_at"


class ReportedFilter(SimpleListFilter):
    title = "report"
    parameter_name = "reported"

    def lookups(self, request: HttpRequest, model_admin: object) -> Choices:
        return [("yes", "Reported by the person")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Generation]) -> QuerySet[Generation]:
        if self.value() != "yes":
            return queryset
        reports = GenerationEvent.objects.filter(kind=afterwards.REPORTED)
        return queryset.filter(pk__in=reports.values("generation"))


class FlaggedFilter(SimpleListFilter):
    title = "flag"
    parameter_name = "flagged"

    def lookups(self, request: HttpRequest, model_admin: object) -> Choices:
        return [("yes", "Flagged by a rule")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Generation]) -> QuerySet[Generation]:
        return queryset.filter(flagged=True) if self.value() == "yes" else queryset


class MarkedBadFilter(SimpleListFilter):
    title = "mark"
    parameter_name = "marked"

    def lookups(self, request: HttpRequest, model_admin: object) -> Choices:
        return [("bad", "Marked bad")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Generation]) -> QuerySet[Generation]:
        return queryset.filter(marked_bad=True) if self.value() == "bad" else queryset


class FieldFilter(SimpleListFilter):
    """Rows whose field has the value. Other values than those offered may stand in the address."""

    field: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[Generation]) -> QuerySet[Generation]:
        value = self.value()
        if value is None:
            return queryset
        # PostgreSQL takes no NUL.
        return queryset.none() if "\0" in value else queryset.filter(**{self.field: value})

    def newest(self, rows: QuerySet[Generation]) -> list[str]:
        """Values of the newest rows, the most frequent first."""
        values = rows.order_by("-pk").values_list(self.field, flat=True)[:LOOKED_AT]
        return [value for value, _ in Counter(value for value in values if value).most_common(OFFERED)]


class PresetFilter(FieldFilter):
    title = "preset"
    parameter_name = field = "preset"

    def lookups(self, request: HttpRequest, model_admin: object) -> Choices:
        return [(name, name) for name in PRESETS]


class WorkerFilter(FieldFilter):
    title = "worker"
    parameter_name = field = "host"

    def lookups(self, request: HttpRequest, model_admin: object) -> Choices:
        return [(host, host) for host in sorted(self.newest(Generation.objects.all()))]


class FailureFilter(FieldFilter):
    title = "reason of failure"
    parameter_name = "failure"
    field = "public_error"

    def lookups(self, request: HttpRequest, model_admin: object) -> Choices:
        failed = Generation.objects.filter(status=Status.FAILED)
        return [(reason, shortened(reason, 60)) for reason in self.newest(failed)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Generation]) -> QuerySet[Generation]:
        found = super().queryset(request, queryset)
        return found if self.value() is None else found.filter(status=Status.FAILED)
