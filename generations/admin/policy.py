"""The policy: one row, so its address is the form. A saved change binds the next message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import BooleanField, Field, IntegerField, JSONField, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from generations import prompts, services
from generations.admin.audited import Audited
from generations.admin.shared import MultilineField, PolicyModelAdmin, PolicyModelForm, preset_choices
from generations.engine.base import EngineError
from generations.models import Policy, PolicyVersion
from generations.prompts import PromptRefused

# A chat message holds 4096 UTF-16 units, an emoji takes two, and the bot adds lines of its own.
GREETING_CHARACTERS = 1500
TERMS_UNITS = 3500

MOST = 100_000
MOST_PIXELS = 10_000_000
# That are shown.
VERSIONS = 50
CAPS = ("max_frames", "max_steps", "max_pixels")


def limit_field(name: str, most: int = MOST, model: type[Model] = Policy) -> forms.Field | None:
    # SQLite would store any number; PostgreSQL's integer would not.
    field = model._meta.get_field(name)
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


def below_least(values: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Caps that are, and what the model needs. 0 and nothing are no caps."""
    for name, least in least_caps().items():
        if 0 < (values.get(name) or 0) < least:
            yield name, least


class PolicyForm(PolicyModelForm):
    greeting = MultilineField(rows=6, max_length=GREETING_CHARACTERS, help_text="Answer to /start and /hello.")
    terms = MultilineField(
        rows=8,
        required=False,
        help_text="Everybody accepts them before the next prompt, and again when they change. Empty: none.",
    )
    hourly_limit = limit_field("hourly_limit")
    daily_limit = limit_field("daily_limit")
    waiting_limit = limit_field("waiting_limit")
    running_limit = limit_field("running_limit")
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
            "hourly_limit",
            "daily_limit",
            "waiting_limit",
            "running_limit",
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
            if values.get(begin) is not None and values[begin] == values.get(end):
                self.add_error(end, "From one hour to the same one is nothing, or all day; leave both empty instead.")
        waiting, queue = values.get("waiting_limit"), values.get("queue_limit")
        if waiting and queue and waiting > queue:
            self.add_error("waiting_limit", f"One person could not have {waiting} where the whole queue takes {queue}.")
        for name, least in below_least(values):
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


class ImportForm(forms.Form):
    text = forms.CharField(
        label="Policy",
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 16, "cols": 80}),
        help_text="The contents of an exported file. Settings that it does not name stay as they are.",
    )

    def clean_text(self) -> dict[str, Any]:
        try:
            values = json.loads(self.cleaned_data["text"])
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"That is no JSON: {error}") from error
        if not isinstance(values, dict):
            raise ValidationError("That is no policy: a JSON object is expected, with the settings by name.")
        wrong = [problem for name, value in values.items() if (problem := misfit(name, value))]
        if wrong:
            raise ValidationError(wrong)
        return values


def misfit(name: str, value: Any) -> str:
    """What is wrong with the kind of a value; the form looks at its size."""
    known = {field.name: field for field in Policy._meta.concrete_fields}
    if name not in PolicyForm.base_fields:
        return f"{name}: there is no such setting."
    field = known[name]
    if value is None:
        return "" if field.null else f"{name}: null is no value for it."
    kinds: dict[type[Field[Any, Any]], tuple[type, str]] = {
        BooleanField: (bool, "true or false"),
        IntegerField: (int, "a whole number"),
        JSONField: (list, "a list of names"),
    }
    kind, words = next((kinds[each] for each in kinds if isinstance(field, each)), (str, "text"))
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    return "" if fits else f"{name}: {words} is expected."


def form_data(values: dict[str, Any]) -> dict[str, Any]:
    """As a browser would post them."""
    data = {name: value for name, value in values.items() if value is not None and value is not False}
    return data | {"presets": values["presets"] or [name for name, _ in preset_choices()]}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Name, what it was, what it is. A setting that there was not before has no value."""
    return [(name, before.get(name), value) for name, value in after.items() if before.get(name) != value]


def as_text(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


@admin.register(Policy)
class PolicyAdmin(Audited, PolicyModelAdmin):
    form = PolicyForm
    change_form_template = "generations/admin/policy.html"
    radio_fields = {"access": admin.VERTICAL, "review": admin.VERTICAL}
    readonly_fields = ["updated_at", "updated_by"]
    fieldsets = [
        (None, {"fields": ["greeting"]}),
        ("Access", {"fields": ["access", "terms"]}),
        ("Review", {"fields": ["review"]}),
        ("Presets", {"fields": ["default_preset", "presets"]}),
        ("What one video may cost", {"fields": CAPS}),
        ("Limits", {"fields": ["hourly_limit", "daily_limit", "waiting_limit", "running_limit", "queue_limit"]}),
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

    # --- versions, and the whole of it as a file

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(view)

        return [
            path("versions/", page(self.versions_view), name="generations_policy_versions"),
            path("export/", page(self.export_view), name="generations_policy_export"),
            path("import/", page(self.import_view), name="generations_policy_import"),
            *super().get_urls(),
        ]

    def versions_view(self, request: HttpRequest) -> HttpResponse:
        """Who changed what, the newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        kept = list(PolicyVersion.objects.all()[: VERSIONS + 1])
        versions = [
            {
                "row": version,
                "changes": differences(kept[place + 1].values, version.values) if place + 1 < len(kept) else [],
                "is_first": place + 1 == len(kept) and len(kept) <= VERSIONS,
                "text": as_text(version.values),
            }
            for place, version in enumerate(kept[:VERSIONS])
        ]
        return self._page(
            request, "generations/admin/policy_versions.html", "Versions of the policy", versions=versions
        )

    def export_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        answer = HttpResponse(as_text(Policy.current().values()), content_type="application/json")
        answer.headers["Content-Disposition"] = 'attachment; filename="policy.json"'
        return answer

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Paste, see what would change, apply. All of it or nothing: the form of the page checks every value."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        wanted, changes = ImportForm(request.POST or None), None
        if wanted.is_valid():
            with transaction.atomic():
                policy = Policy.objects.select_for_update().get(pk=Policy.current().pk)
                before = policy.values()
                form = PolicyForm(form_data(before | wanted.cleaned_data["text"]), instance=policy)
                if form.is_valid():
                    changes = differences(before, form.instance.values())
                    if request.POST.get("apply") and changes:
                        self.save_model(request, self.save_form(request, form, True), form, True)
                        self.save_related(request, form, [], True)
                        self.message_user(request, f"Applied: {len(changes)} changed.", messages.SUCCESS)
                        return HttpResponseRedirect(reverse("admin:generations_policy_change", args=[policy.pk]))
                for name, errors in form.errors.items():
                    wanted.add_error("text", [f"{name}: {error}" for error in errors])
        return self._page(
            request, "generations/admin/policy_import.html", "Import the policy", form=wanted, changes=changes
        )

    def _page(self, request: HttpRequest, template: str, title: str, **facts: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": Policy._meta,
            "can_change": self.has_change_permission(request),
            "back": reverse("admin:generations_policy_change", args=[Policy.current().pk]),
            **facts,
        }
        return TemplateResponse(request, template, context)

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        obj.updated_by = request.user  # type: ignore[assignment] # nobody gets here without logging in
        super().save_model(request, obj, form, change)
