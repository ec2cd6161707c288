"""The audit log: to search and read, for nobody to change."""

from __future__ import annotations

import json
from typing import Any, get_args

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join

from generations.admin.shared import AuditModelAdmin, LongList, pill, shortened
from generations.audit_log import Action
from generations.models import AuditEntry

# Longer values are shown on the page of the entry.
SUMMARY = 120


class ActionFilter(admin.SimpleListFilter):
    """Not of what the table holds: to find that out, all of it would be read."""

    title = "action"
    parameter_name = "what"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(action, action.capitalize()) for action in get_args(Action)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(action=self.value()) if self.value() in get_args(Action) else queryset


class ActorFilter(admin.SimpleListFilter):
    title = "operator"
    parameter_name = "who"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        staff = User.objects.filter(is_staff=True).order_by("username")
        return [(str(user.pk), user.get_username()) for user in staff]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        who = self.value() or ""
        return queryset.filter(actor=int(who)) if who.isdecimal() and len(who) < 19 else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(LongList, AuditModelAdmin):
    list_display = ["at", "who", "way", "action", "target", "summary"]
    list_display_links = ["at"]
    list_filter = ["at", ActorFilter, "via", ActionFilter]
    search_fields = ["object_label", "object_id__exact", "note"]
    search_help_text = "What it was done to, by name or number, or the note."
    sortable_by = ()
    fields = ["at", "who", "way", "action", "target", "changes", "note"]
    readonly_fields = ["at", "who", "way", "action", "target", "changes", "note"]
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    @admin.display(description="Who")
    def who(self, row: AuditEntry) -> str:
        return format_html("<bdi>{}</bdi>", row.actor_label or "the system")

    @admin.display(description="By way of")
    def way(self, row: AuditEntry) -> str:
        return pill("free", row.get_via_display())

    @admin.display(description="What")
    def target(self, row: AuditEntry) -> str:
        """A link to it, as long as that is a page of the admin; what is gone says so there."""
        kind = row.object_type.partition(".")[2]
        label = format_html("{} <bdi>{}</bdi>", kind, shortened(row.object_label))
        try:
            address = reverse(f"admin:{row.object_type.replace('.', '_')}_change", args=[row.object_id])
        except NoReverseMatch:
            return label
        return format_html('<a href="{}">{}</a>', address, label)

    @admin.display(description="Change")
    def summary(self, row: AuditEntry) -> str:
        parts = [f"{name}: {_shown(old)} → {_shown(new)}" for name, old, new in _differences(row)]
        return format_html("<bdi>{}</bdi>", shortened("; ".join([*parts, row.note] if row.note else parts), SUMMARY))

    @admin.display(description="Change")
    def changes(self, row: AuditEntry) -> str:
        lines = format_html_join(
            "",
            '<tr><th scope="row">{}</th><td><bdi>{}</bdi></td><td><bdi>{}</bdi></td></tr>',
            ((name, _shown(old), _shown(new)) for name, old, new in _differences(row)),
        )
        head = '<table><thead><tr><th scope="col">Field</th><th scope="col">Before</th><th scope="col">After</th></tr>'
        return format_html(head + "</thead><tbody>{}</tbody></table>", lines) if lines else "–"


def _differences(row: AuditEntry) -> list[tuple[str, Any, Any]]:
    before, after = row.before, row.after
    return [(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
