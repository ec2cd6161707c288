"""Invitations to give away, and requests for access to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from generations.admin.audited import Audited
from generations.admin.shared import LongList, link, pill, shortened
from telegram_bot.models import AccessRequest, Invitation

if TYPE_CHECKING:
    # These classes take a parameter in their stubs only.
    InvitationModelAdmin = admin.ModelAdmin[Invitation]
    RequestModelAdmin = admin.ModelAdmin[AccessRequest]
else:
    InvitationModelAdmin = RequestModelAdmin = admin.ModelAdmin

State = AccessRequest.State
COLOURS = {State.OPEN: "queued", State.GRANTED: "free", State.DENIED: "banned"}


@admin.register(Invitation)
class InvitationAdmin(Audited, LongList, InvitationModelAdmin):
    list_display = ["address", "standing", "used", "uses_left", "expires_at", "note", "created_by", "created_at"]
    list_display_links = ["note"]
    search_fields = ["note", "code"]
    search_help_text = "Note or code."
    sortable_by = ()
    ordering = ["-pk"]
    fields = ["address", "standing", "used", "note", "uses_left", "expires_at", "created_by", "created_at"]
    readonly_fields = ["address", "standing", "used", "created_by", "created_at"]
    actions = ["revoke_selected"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invitation]:
        people: QuerySet[Invitation] = super().get_queryset(request)
        return people.select_related("created_by").annotate(people=Count("uses"))

    def has_delete_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        # It says by which way people came.
        return False

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user  # type: ignore[assignment] # nobody gets here without logging in
            super().save_model(request, obj, form, change)
        elif form.changed_data:
            # Only what the operator changed: people may be using it up just now.
            obj.save(update_fields=form.changed_data)

    @admin.display(description="Link")
    def address(self, row: Invitation) -> str:
        if row.pk is None:
            return "–"
        # Here and below imported when it is called: a worker, which loads the pages too, has no Telegram library.
        from telegram_bot import invitations

        return invitations.link(row) or f"{row.code} (the link is known when the bot has run)"

    @admin.display(description="Standing")
    def standing(self, row: Invitation) -> str:
        if row.pk is None:
            return "–"
        from telegram_bot import invitations

        why = invitations.why_not(row)
        return pill("banned", why.capitalize()) if why else pill("free", "Lets people in")

    @admin.display(description="People")
    def used(self, row: Invitation) -> int:
        return getattr(row, "people", 0)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        from telegram_bot import invitations

        assert request.user.is_authenticated
        revoked = 0
        for invitation in queryset:
            if invitations.revoke(invitation, by=request.user):
                revoked += 1
                self.log_change(request, invitation, "Revoked.")
        self.message_user(request, f"Revoked: {revoked}. Whoever has come by them keeps access.", messages.SUCCESS)


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(str(state.value), str(state.label)) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AccessRequest]) -> QuerySet[AccessRequest]:
        return queryset.filter(state=self.value()) if self.value() in State.values else queryset


@admin.register(AccessRequest)
class AccessRequestAdmin(Audited, LongList, RequestModelAdmin):
    list_display = ["person", "username", "number", "standing", "created_at", "decided_by", "decided_at"]
    list_display_links = None
    list_filter = [StateFilter]
    list_select_related = ["requester", "decided_by"]
    search_fields = ["requester__display_name", "requester__username", "requester__user_id__startswith"]
    search_help_text = "Name or number."
    sortable_by = ()
    ordering = ["-pk"]
    fields = ["person", "username", "number", "standing", "created_at", "decided_by", "decided_at"]
    readonly_fields = ["person", "username", "number", "standing", "created_at", "decided_by", "decided_at"]
    actions = ["approve_selected", "deny_selected"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AccessRequest | None = None) -> bool:
        return False

    @admin.display(description="Person")
    def person(self, row: AccessRequest) -> str:
        return link(row.requester, shortened(str(row.requester), 40))

    @admin.display(description="User name")
    def username(self, row: AccessRequest) -> str:
        return row.requester.username

    @admin.display(description="Number")
    def number(self, row: AccessRequest) -> int:
        return row.requester.user_id

    @admin.display(description="State")
    def standing(self, row: AccessRequest) -> str:
        return pill(COLOURS[State(row.state)], State(row.state).label)

    @admin.action(description="Approve", permissions=["change"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[AccessRequest]) -> None:
        self._decide(request, queryset, granted=True)

    @admin.action(description="Deny", permissions=["change"])
    def deny_selected(self, request: HttpRequest, queryset: QuerySet[AccessRequest]) -> None:
        self._decide(request, queryset, granted=False)

    def _decide(self, request: HttpRequest, queryset: QuerySet[AccessRequest], *, granted: bool) -> None:
        from telegram_bot import access_requests

        assert request.user.is_authenticated
        decided = 0
        for pk in queryset.values_list("pk", flat=True):
            row, first = access_requests.decide(pk, granted=granted, by=request.user)
            if first:
                decided += 1
                self.log_change(request, row, f"{State(row.state).label}.")
            else:
                by = row.decided_by or "an invitation"
                self.message_user(request, f"{row.requester} was decided by {by} already.", messages.WARNING)
        words = "Approved" if granted else "Denied"
        self.message_user(request, f"{words}: {decided}. They read it in their chat.", messages.SUCCESS)
