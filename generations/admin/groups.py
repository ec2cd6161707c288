"""Group chats: a switch and a limit for each, and how many videos it made today."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from generations import limits
from generations.admin.audited import Audited
from generations.admin.shared import GroupModelAdmin, LongList, link, pill, shortened
from generations.models import COUNTED, Generation, Group


@admin.register(Group)
class GroupAdmin(Audited, LongList, GroupModelAdmin):
    list_display = ["name", "chat_id", "enabled", "daily_limit", "review", "made_today", "member", "created_at"]
    list_display_links = None
    list_editable = ["enabled", "daily_limit"]
    list_filter = ["enabled"]
    search_fields = ["title", "chat_id__startswith"]
    search_help_text = "Title or number."
    sortable_by = ["created_at"]
    fields = ["title", "chat_id", "enabled", "daily_limit", "review", "made_today", "member", "created_at"]
    readonly_fields = ["title", "chat_id", "made_today", "member", "created_at"]
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        # The next message from there would make it anew, switched on.
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        # As limits.Counts, for a page of groups in one query.
        made = (
            Generation.objects.filter(chat_id=OuterRef("chat_id"), created_by=None)
            .filter(status__in=COUNTED, created_at__gte=limits.day()[0])
            .order_by()
            .values("chat_id")
            .annotate(number=Count("pk"))
            .values("number")
        )
        groups: QuerySet[Group] = super().get_queryset(request)
        return groups.annotate(made_today=Coalesce(Subquery(made), 0))

    @admin.display(description="Group")
    def name(self, group: Group) -> str:
        return link(group, shortened(str(group), 40))

    @admin.display(description="Today")
    def made_today(self, group: Group) -> int:
        made: int = group.made_today  # type: ignore[attr-defined] # get_queryset adds it
        return made

    @admin.display(description="The bot")
    def member(self, group: Group) -> str:
        return pill("free", "is there") if group.removed_at is None else pill("banned", "was removed")
