"""What Telegram sent and what became of it, to look at; and who is an operator in the chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property

from generations.admin.audited import Audited
from telegram_bot import access_admin, broadcast_admin  # noqa: F401
from telegram_bot.models import Alert, OperatorAccount, ReceivedUpdate

if TYPE_CHECKING:
    # These classes take a parameter in their stubs only.
    UpdateModelAdmin = admin.ModelAdmin[ReceivedUpdate]
    UpdatePaginator = Paginator[Any]
    OperatorModelAdmin = admin.ModelAdmin[OperatorAccount]
    AlertModelAdmin = admin.ModelAdmin[Alert]
else:
    UpdateModelAdmin = OperatorModelAdmin = AlertModelAdmin = admin.ModelAdmin
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

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.number_view)
        return [path("number/<int:number>/", view, name="telegram_bot_receivedupdate_number"), *super().get_urls()]

    def number_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """By Telegram's number, which is what other rows know of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = ReceivedUpdate.objects.filter(update_id=number).first() if number < 2**63 else None
        if row is None:
            self.message_user(request, f"Update {number} is no longer stored.", messages.WARNING)
            return HttpResponseRedirect(reverse("admin:telegram_bot_receivedupdate_changelist"))
        return HttpResponseRedirect(reverse("admin:telegram_bot_receivedupdate_change", args=[row.pk]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ReceivedUpdate | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ReceivedUpdate | None = None) -> bool:
        # A replayed update is known by its row.
        return False


@admin.register(OperatorAccount)
class OperatorAccountAdmin(Audited, OperatorModelAdmin):
    """For the role Admin: whoever may add one could act as any user."""

    list_display = ["user", "telegram_id", "created_at"]
    list_select_related = ["user"]
    fields = ["user", "telegram_id"]


@admin.register(Alert)
class AlertAdmin(AlertModelAdmin):
    list_display = ["kind", "state", "since", "told_at", "recovered_at"]
    list_display_links = None
    list_filter = ["kind"]
    list_per_page = 50
    sortable_by = ["since"]
    show_facets = admin.ShowFacets.NEVER
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Alert | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Alert | None = None) -> bool:
        return False
