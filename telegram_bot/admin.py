"""What Telegram sent and what became of it: to look at, never to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from telegram_bot.models import ReceivedUpdate

if TYPE_CHECKING:
    # These classes take a parameter in their stubs only.
    UpdateModelAdmin = admin.ModelAdmin[ReceivedUpdate]
    UpdatePaginator = Paginator[Any]
else:
    UpdateModelAdmin = admin.ModelAdmin
    UpdatePaginator = Paginator


class BoundedPaginator(UpdatePaginator):
    """Counts no further than this: counting millions of updates takes seconds."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:10_000].count())


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("open", "Not handled yet"), ("failed", "Failed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReceivedUpdate]) -> QuerySet[ReceivedUpdate]:
        if self.value() == "open":
            return queryset.filter(handled_at=None)
        return queryset.exclude(error="") if self.value() == "failed" else queryset


@admin.register(ReceivedUpdate)
class ReceivedUpdateAdmin(UpdateModelAdmin):
    list_display = ["update_id", "chat", "received_at", "handled_at", "attempts", "error"]
    list_filter = [StateFilter]
    list_per_page = 50
    ordering = ["-update_id"]
    search_fields = ["chat", "update_id__startswith"]
    search_help_text = "Number of the chat or of the update."
    sortable_by = ["update_id"]
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ReceivedUpdate | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ReceivedUpdate | None = None) -> bool:
        # A replayed update is known by its row.
        return False
