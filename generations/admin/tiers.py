"""Tiers: limits with a name, given to people on their pages. A change binds the next prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from generations.admin.audited import Audited
from generations.admin.policy import CAPS, MOST_PIXELS, below_least, limit_field
from generations.admin.shared import RequesterModelForm, TierModelAdmin, preset_choices
from generations.models import OWN_LIMITS, Requester, Tier

if TYPE_CHECKING:
    # This class takes a parameter in its stubs only.
    LimitsModelForm = forms.ModelForm[Any]
else:
    LimitsModelForm = forms.ModelForm

COUNTS = ("hourly_limit", "daily_limit", "waiting_limit", "running_limit")


class OwnLimitsForm(LimitsModelForm):
    hourly_limit = limit_field("hourly_limit", model=Tier)
    daily_limit = limit_field("daily_limit", model=Tier)
    waiting_limit = limit_field("waiting_limit", model=Tier)
    running_limit = limit_field("running_limit", model=Tier)
    max_frames = limit_field("max_frames", model=Tier)
    max_steps = limit_field("max_steps", model=Tier)
    max_pixels = limit_field("max_pixels", MOST_PIXELS, Tier)
    presets = forms.MultipleChoiceField(
        choices=preset_choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What may be chosen. None of them: nothing special.",
    )

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        for name, least in below_least(values):
            self.add_error(name, f"The model needs {least} at least; 0 for no cap, empty for nothing special.")
        return values


class TierForm(OwnLimitsForm):
    class Meta:
        model = Tier
        fields = ["name", *OWN_LIMITS]


class RequesterForm(OwnLimitsForm, RequesterModelForm):
    class Meta:
        model = Requester
        fields = ["review", "notes", "tier", *OWN_LIMITS]


@admin.register(Tier)
class TierAdmin(Audited, TierModelAdmin):
    form = TierForm
    list_display = ["name", *COUNTS, "priority", "members"]
    fieldsets = [
        (None, {"fields": ["name"]}),
        (
            "Limits",
            {"fields": COUNTS, "description": "0 for no limit. Empty: what the policy says."},
        ),
        ("What one video may cost", {"fields": CAPS}),
        ("Presets", {"fields": ["presets"]}),
        ("Queue", {"fields": ["priority"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tier]:
        tiers: QuerySet[Tier] = super().get_queryset(request)
        return tiers.annotate(members=Count("people"))

    @admin.display(description="People")
    def members(self, row: Tier) -> int:
        number: int = row.members  # type: ignore[attr-defined] # get_queryset adds it
        return number
