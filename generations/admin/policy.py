"""The policy: one row, so its address is the form. A saved change binds the next message."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import IntegerField, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from generations import prompts, services
from generations.admin.audited import Audited
from generations.admin.shared import MultilineField, PolicyModelAdmin, PolicyModelForm, preset_choices
from generations.engine.base import EngineError
from generations.models import Policy
from generations.prompts import PromptRefused

# A chat message holds 4096 UTF-16 units, an emoji takes two, and the bot adds lines of its own.
GREETING_CHARACTERS = 1500
TERMS_UNITS = 3500

MOST = 100_000
MOST_PIXELS = 10_000_000
CAPS = ("max_frames", "max_steps", "max_pixels")


def limit_field(name: str, most: int = MOST) -> forms.Field | None:
    # SQLite would store any number; PostgreSQL's integer would not.
    field = Policy._meta.get_field(name)
    assert isinstance(field, IntegerField)
    return field.formfield(max_value=most)


def least_caps() -> dict[str, int]:
    """Below these a cap would have no effect. None while the model cannot be read."""
    try:
        card = services.model_card()
    except EngineError:
        return {}
    pixels = card.width_range[0] * card.height_range[0]
    return dict(zip(CAPS, (card.frames_range[0], card.steps_range[0], pixels), strict=True))


class PolicyForm(PolicyModelForm):
    greeting = MultilineField(rows=6, max_length=GREETING_CHARACTERS, help_text="Answer to /start and /hello.")
    terms = MultilineField(
        rows=8,
        required=False,
        help_text="Everybody accepts them before the next prompt, and again when they change. Empty: none.",
    )
    daily_limit = limit_field("daily_limit")
    waiting_limit = limit_field("waiting_limit")
    queue_limit = limit_field("queue_limit")
    group_daily_limit = limit_field("group_daily_limit")
    max_frames = limit_field("max_frames")
    max_steps = limit_field("max_steps")
    max_pixels = limit_field("max_pixels", MOST_PIXELS)
    default_preset = forms.ChoiceField(
        choices=preset_choices,
        label="Default",
        help_text="For prompts that name none. People see which one made their video.",
    )
    presets = forms.MultipleChoiceField(
        choices=preset_choices,
        label="On offer",
        widget=forms.CheckboxSelectMultiple,
        help_text="What people may choose.",
    )

    class Meta:
        model = Policy
        fields = [
            "greeting",
            "access",
            "terms",
            "review",
            "default_preset",
            "presets",
            *CAPS,
            "daily_limit",
            "waiting_limit",
            "queue_limit",
            "groups_enabled",
            "group_daily_limit",
            "language_note",
            "quiet_from",
            "quiet_until",
            "reactions",
            "negative_prompt",
            "open_from",
            "open_until",
            "closed_notice",
            "paused",
            "pause_notice",
            "operators_chat_id",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.initial.get("presets"):
            self.initial["presets"] = [name for name, _ in preset_choices()]

    def clean_presets(self) -> list[str]:
        """All of them means also those of a later version, which is what the empty list stands for."""
        chosen: list[str] = self.cleaned_data["presets"]
        return [] if len(chosen) == len(preset_choices()) else chosen

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        default, offered = values.get("default_preset"), values.get("presets")
        if offered and default and default not in offered:
            self.add_error("default_preset", "The default must be one of those on offer.")
        for begin, end in (("quiet_from", "quiet_until"), ("open_from", "open_until")):
            if (values.get(begin) is None) != (values.get(end) is None):
                self.add_error(end, "Give both hours, or none.")
        if values.get("open_from") is not None and values["open_from"] == values.get("open_until"):
            self.add_error("open_until", "That would be no hour at all, or all of them; leave both empty for always.")
        for name, least in least_caps().items():
            if 0 < (values.get(name) or 0) < least:
                self.add_error(name, f"The model needs {least} at least; 0 for no cap.")
        return values

    def clean_greeting(self) -> str:
        try:
            return prompts.clean(self.cleaned_data["greeting"])
        except PromptRefused as error:
            # Telegram refuses a message without visible text, and /start would stay without an answer.
            raise ValidationError("The greeting needs some text that can be seen.") from error

    def clean_terms(self) -> str:
        terms: str = self.cleaned_data["terms"]
        if not terms.strip():
            return ""
        if len(terms.encode("utf-16-le", "surrogatepass")) // 2 > TERMS_UNITS:
            raise ValidationError(f"One message has to hold them: at most {TERMS_UNITS} characters.")
        try:
            prompts.clean(terms[:GREETING_CHARACTERS])
        except PromptRefused as error:
            raise ValidationError("The terms need some text that can be seen.") from error
        return terms.strip()


@admin.register(Policy)
class PolicyAdmin(Audited, PolicyModelAdmin):
    form = PolicyForm
    radio_fields = {"access": admin.VERTICAL, "review": admin.VERTICAL}
    readonly_fields = ["updated_at", "updated_by"]
    fieldsets = [
        (None, {"fields": ["greeting"]}),
        ("Access", {"fields": ["access", "terms"]}),
        ("Review", {"fields": ["review"]}),
        ("Presets", {"fields": ["default_preset", "presets"]}),
        ("What one video may cost", {"fields": CAPS}),
        ("Limits", {"fields": ["daily_limit", "waiting_limit", "queue_limit"]}),
        ("Groups", {"fields": ["groups_enabled", "group_daily_limit"]}),
        ("Prompts", {"fields": ["language_note", "negative_prompt"]}),
        ("Manners", {"fields": [("quiet_from", "quiet_until"), "reactions"]}),
        ("Hours", {"fields": [("open_from", "open_until"), "closed_notice"]}),
        ("Pause", {"fields": ["paused", "pause_notice"]}),
        ("Operators in Telegram", {"fields": ["operators_chat_id"]}),
        ("Last change", {"fields": [("updated_at", "updated_by")]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Policy | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:generations_policy_change", args=[Policy.current().pk]))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Policy]:
        # A bookmarked form must open before anybody has followed the menu, or sent a prompt.
        Policy.current()
        return super().get_queryset(request)

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        obj.updated_by = request.user  # type: ignore[assignment] # nobody gets here without logging in
        super().save_model(request, obj, form, change)
