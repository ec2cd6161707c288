"""When people were erased, and how much it was: to look at, never to change."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from generations.admin.shared import ErasureModelAdmin, LongList
from generations.models import Erasure


@admin.register(Erasure)
class ErasureAdmin(LongList, ErasureModelAdmin):
    list_display = ["at", "prompts", "updates", "by"]
    list_display_links = None
    list_select_related = ["by"]
    sortable_by = ["at"]
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Erasure | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Erasure | None = None) -> bool:
        return False
