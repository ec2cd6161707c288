"""People who type prompts: what they used today, notes, ban and unban."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from generations import access, erasing, limits, operating
from generations.admin.audited import Audited
from generations.admin.policy import CAPS
from generations.admin.shared import (
    BannedFilter,
    ConfirmForm,
    LongList,
    ReasonForm,
    RequesterModelAdmin,
    form_page,
    link,
    pill,
    shortened,
)
from generations.admin.tiers import COUNTS, RequesterForm
from generations.models import COUNTED, Generation, Policy, Requester, Tier
from generations.roles import ADMIT, BAN, ERASE, LIMIT

OPEN = Policy.Access.OPEN


PERSON = ("display_name", "username", "user_id", "language_code", "language", "created_at")
STANDING = (
    "standing",
    "admitted_at",
    "terms_accepted_at",
    "banned_at",
    "ban_reason",
    "usage",
    "usage_this_hour",
    "in_force",
    "last_served_at",
    "prompts",
)
LIMITS = ("tier", *COUNTS, *CAPS, "presets", "priority")


class GrantForm(forms.Form):
    videos = forms.IntegerField(
        min_value=1, max_value=1000, label="Videos", help_text="Besides the limit per day, until midnight."
    )


class GiveTierForm(forms.Form):
    tier = forms.ModelChoiceField(Tier.objects.all(), required=False, empty_label="No tier")


@admin.register(Requester)
class RequesterAdmin(Audited, LongList, RequesterModelAdmin):
    list_display = ["name", "username", "user_id", "standing", "tier", "used_today", "last_served_at", "created_at"]
    list_display_links = None
    list_filter = [BannedFilter, "tier", "created_at"]
    list_select_related = ["tier"]
    search_fields = ["display_name", "username", "user_id__startswith", "notes"]
    search_help_text = "Name, number or notes."
    sortable_by = ["created_at", "last_served_at"]
    ordering = ["-pk"]
    # The rest is the person's own, or changed by levers.
    readonly_fields = [*PERSON, *STANDING]
    form = RequesterForm
    fieldsets = [
        ("Person", {"fields": PERSON}),
        ("Standing", {"fields": STANDING}),
        (None, {"fields": ["review", "notes"]}),
        (
            "Limits",
            {
                "fields": LIMITS,
                "description": "0 for no limit. Empty: what the tier says, or else the policy.",
            },
        ),
    ]
    change_list_template = "generations/admin/list.html"
    change_form_template = "generations/admin/requester.html"
    actions = [
        "let_in_selected",
        "put_out_selected",
        "grant_selected",
        "tier_selected",
        "ban_selected",
        "unban_selected",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_ban_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(BAN)

    def has_admit_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ADMIT)

    def has_limit_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(LIMIT)

    def get_readonly_fields(self, request: HttpRequest, obj: Requester | None = None) -> list[str]:
        return self.readonly_fields if self.has_limit_permission(request) else [*self.readonly_fields, *LIMITS]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["can_ban"] = self.has_ban_permission(request)
        context["can_limit"] = self.has_limit_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Requester, form: Any, change: bool) -> None:
        # Only what the operator changed: a worker or a ban may be writing the rest just now.
        if form.changed_data:
            obj.save(update_fields=form.changed_data)

    # --- what is shown

    def get_queryset(self, request: HttpRequest) -> QuerySet[Requester]:
        # As limits.usage_today, for a page of people in one query. A subquery: a join would group all of them first.
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        used = (
            Generation.objects.filter(requester=OuterRef("pk"), created_by=None)
            .filter(status__in=COUNTED, created_at__gte=midnight)
            .order_by()
            .values("requester")
            .annotate(number=Count("pk"))
            .values("number")
        )
        people: QuerySet[Requester] = super().get_queryset(request)
        let_in = Subquery(Policy.objects.values("access")[:1])
        return people.annotate(used_today=Coalesce(Subquery(used), 0), access=Coalesce(let_in, Value(OPEN)))

    @admin.display(description="Today")
    def used_today(self, row: Requester) -> int:
        used: int = row.used_today  # type: ignore[attr-defined] # get_queryset adds it
        return used

    @admin.display(description="Name")
    def name(self, row: Requester) -> str:
        return link(row, shortened(str(row), 40))

    @admin.display(description="Standing")
    def standing(self, row: Requester) -> str:
        if row.is_banned:
            return pill("banned", "Banned")
        let_in = row.admitted_at is not None or row.access == OPEN  # type: ignore[attr-defined] # as above
        return pill("free", "May submit") if let_in else pill("waiting", "Not let in")

    @admin.display(description="Videos today")
    def usage(self, row: Requester) -> str:
        usage, granted = limits.usage_today(row, Policy.current()), limits.granted_today(row)
        resets = timezone.localtime(usage.resets_at).strftime("%H:%M %Z")
        if not usage.limit:
            return f"{usage.used}, no limit"
        more = f" ({granted} of them granted for today)" if granted else ""
        return f"{usage.used} of {usage.limit}{more}, {usage.left} left, counted anew at {resets}"

    @admin.display(description="Videos this hour")
    def usage_this_hour(self, row: Requester) -> str:
        usage = limits.usage_this_hour(row, Policy.current())
        return f"{usage.used} of {usage.limit}, {usage.left} left" if usage.limit else "no limit"

    @admin.display(description="All limits in force")
    def in_force(self, row: Requester) -> str:
        """What counts for this person, wherever it comes from."""
        values = vars(row.entitlement(Policy.current()))
        names = {name: name.replace("_", " ").removesuffix(" limit") for name in (*COUNTS, *CAPS)}
        said = [f"{names[name]}: {values[name] or 'no limit'}" for name in names]
        said.append(f"presets: {', '.join(values['presets']) or 'all'}")
        return "; ".join([*said, f"lane: {values['priority']}"])

    @admin.display(description="Prompts")
    def prompts(self, row: Requester) -> str:
        address = reverse("admin:generations_generation_changelist")
        return format_html('<a href="{}?q={}">All prompts of this person</a>', address, row.user_id)

    # --- who is let in, where the policy lets in only some

    @admin.action(description="Give access", permissions=["admit"])
    def let_in_selected(self, request: HttpRequest, queryset: QuerySet[Requester]) -> None:
        self._access(request, queryset, access.admit, "Access given")

    @admin.action(description="Withdraw access", permissions=["admit"])
    def put_out_selected(self, request: HttpRequest, queryset: QuerySet[Requester]) -> None:
        self._access(request, queryset, access.withdraw_access, "Access withdrawn")
        if Policy.current().access == Policy.Access.OPEN:
            self.message_user(request, "The policy lets in everybody: with the next prompt they are in again.")

    def _access(
        self, request: HttpRequest, people: QuerySet[Requester], change: Callable[..., bool], words: str
    ) -> None:
        changed = [person for person in people if change(person, by=request.user)]
        for person in changed:
            self.log_change(request, person, f"{words}.")
        self.message_user(request, f"{words}: {len(changed)}.", messages.SUCCESS)

    # --- more than others

    def grant_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        requester = self._target(request, pk, LIMIT)
        form = GrantForm(request.POST or None)
        if form.is_valid():
            self._grant(request, [requester], form.cleaned_data["videos"])
            return HttpResponseRedirect(self._address(requester))
        return self._form_page(
            request, requester, form, title=f"Grant {requester} more videos for today", button="Grant"
        )

    @admin.action(description="Grant more for today…", permissions=["limit"])
    def grant_selected(self, request: HttpRequest, queryset: QuerySet[Requester]) -> HttpResponse | None:
        form = GrantForm(request.POST if "videos" in request.POST else None)
        if form.is_valid():
            self._grant(request, queryset, form.cleaned_data["videos"])
            return None
        return self._form_page(
            request,
            queryset,
            form,
            title=f"Grant {queryset.count()} people more videos for today",
            button="Grant",
            action="grant_selected",
        )

    def _grant(self, request: HttpRequest, people: QuerySet[Requester] | list[Requester], videos: int) -> None:
        assert request.user.is_authenticated
        granted = [person for person in people if operating.grant(person, videos, by=request.user)]
        for person in granted:
            self.log_change(request, person, f"Granted {videos} more for today.")
        if granted:
            self.message_user(request, f"Granted {videos} more for today: {len(granted)}.", messages.SUCCESS)
        if without := len(people) - len(granted):
            self.message_user(request, f"Skipped: {without} without a limit per day.", messages.WARNING)

    @admin.action(description="Give a tier…", permissions=["limit"])
    def tier_selected(self, request: HttpRequest, queryset: QuerySet[Requester]) -> HttpResponse | None:
        assert request.user.is_authenticated
        form = GiveTierForm(request.POST if "tier" in request.POST else None)
        if form.is_valid():
            tier = form.cleaned_data["tier"]
            changed = [person for person in queryset if operating.give_tier(person, tier, by=request.user)]
            for person in changed:
                self.log_change(request, person, f"Tier: {tier or 'none'}.")
            self.message_user(request, f"{tier or 'No tier'}: {len(changed)} changed.", messages.SUCCESS)
            return None
        return self._form_page(
            request,
            queryset,
            form,
            title=f"Give {queryset.count()} people a tier",
            button="Give",
            action="tier_selected",
        )

    # --- ban and unban

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view
        return [
            path("<int:pk>/ban/", page(self.ban_view), name="generations_requester_ban"),
            path("<int:pk>/grant/", page(self.grant_view), name="generations_requester_grant"),
            path("<int:pk>/unban/", page(self.unban_view), name="generations_requester_unban"),
            path("<int:pk>/erase/", page(self.erase_view), name="generations_requester_erase"),
            *super().get_urls(),
        ]

    def ban_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        requester = self._target(request, pk, BAN)
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            self._ban(request, [requester], form.cleaned_data["reason"])
            return HttpResponseRedirect(self._address(requester))
        return self._form_page(request, requester, form, title=f"Ban {requester}", button="Ban")

    @method_decorator(require_POST)
    def unban_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        requester = self._target(request, pk, BAN)
        self._unban(request, [requester])
        return HttpResponseRedirect(self._address(requester))

    @admin.action(description="Ban…", permissions=["ban"])
    def ban_selected(self, request: HttpRequest, queryset: QuerySet[Requester]) -> HttpResponse | None:
        form = ReasonForm(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            self._ban(request, queryset, form.cleaned_data["reason"])
            return None
        return self._form_page(
            request, queryset, form, title=f"Ban {queryset.count()} people", button="Ban", action="ban_selected"
        )

    @admin.action(description="Unban", permissions=["ban"])
    def unban_selected(self, request: HttpRequest, queryset: QuerySet[Requester]) -> None:
        self._unban(request, queryset)

    # --- the end of everything that is kept of a person

    def erase_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """As /delete_me in the chat. Unlike the delete page also while something of theirs is on its way."""
        requester = self._target(request, pk, ERASE)
        form = ConfirmForm(request.POST or None)
        if form.is_valid():
            self.delete_model(request, requester)
            self.message_user(request, "Erased.", messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:generations_requester_changelist"))
        return self._form_page(request, requester, form, title=f"Erase {requester}", button="Erase")

    def delete_model(self, request: HttpRequest, obj: Requester) -> None:
        assert request.user.is_authenticated
        erasing.erase(obj.user_id, by=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Requester]) -> None:
        for requester in list(queryset):
            self.delete_model(request, requester)

    # --- how they work

    def _form_page(
        self,
        request: HttpRequest,
        whom: Requester | QuerySet[Requester],
        form: forms.Form,
        *,
        title: str,
        button: str,
        action: str = "",
    ) -> HttpResponse:
        """Of one person, or the second step of an action on many."""
        return form_page(
            self.admin_site,
            request,
            Requester,
            title=title,
            form=form,
            button=button,
            back=self._address(whom) if isinstance(whom, Requester) else request.get_full_path(),
            rows=None if isinstance(whom, Requester) else whom,
            action=action,
        )

    @staticmethod
    def _target(request: HttpRequest, pk: int, permission: str) -> Requester:
        if not request.user.has_perm(permission):
            raise PermissionDenied
        return get_object_or_404(Requester, pk=pk)

    def _ban(self, request: HttpRequest, people: QuerySet[Requester] | list[Requester], reason: str) -> None:
        assert request.user.is_authenticated
        stopped = 0
        for person in people:
            stopped += operating.ban(person, by=request.user, reason=reason)
            self.log_change(request, person, f"Banned: {reason}")
        self.message_user(request, f"Banned: {len(people)}. Prompts stopped: {stopped}.", messages.SUCCESS)

    def _unban(self, request: HttpRequest, people: QuerySet[Requester] | list[Requester]) -> None:
        assert request.user.is_authenticated
        unbanned = [person for person in people if operating.unban(person, by=request.user)]
        for person in unbanned:
            self.log_change(request, person, "Unbanned.")
        self.message_user(request, f"Unbanned: {len(unbanned)}.", messages.SUCCESS)

    @staticmethod
    def _address(requester: Requester) -> str:
        return reverse("admin:generations_requester_change", args=[requester.pk])
