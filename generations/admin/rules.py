"""The block list, and a box to try a pattern on what people wrote before it binds anybody."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from generations import rules
from generations.admin.audited import Audited
from generations.admin.shared import RuleModelAdmin, RuleModelForm
from generations.models import Rule


class RuleForm(RuleModelForm):
    class Meta:
        model = Rule
        fields = ["name", "kind", "pattern", "action", "reason", "enabled", "notes"]
        widgets = {
            "pattern": forms.Textarea(attrs={"rows": 6, "cols": 80}),
            "notes": forms.Textarea(attrs={"rows": 3, "cols": 80}),
        }

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if "pattern" in values and "kind" in values:
            try:
                rules.finder(values["kind"], values["pattern"])
            except rules.BadPattern as error:
                self.add_error("pattern", str(error))
        others = Rule.objects.filter(enabled=True).exclude(pk=self.instance.pk)
        if values.get("enabled") and others.count() >= rules.MOST_RULES:
            self.add_error(
                "enabled", f"At most {rules.MOST_RULES} rules may be enabled: each is looked for every time."
            )
        return values


class TrialForm(forms.Form):
    kind = forms.ChoiceField(choices=Rule.Kind)
    pattern = forms.CharField(max_length=2000, widget=forms.Textarea(attrs={"rows": 6, "cols": 80}))
    newest = forms.IntegerField(
        min_value=1, max_value=rules.MOST_TRIED, initial=rules.TRIED, label="Prompts", help_text="The newest so many."
    )


@admin.register(Rule)
class RuleAdmin(Audited, RuleModelAdmin):
    form = RuleForm
    list_display = ["name", "kind", "action", "enabled", "reason"]
    list_filter = ["enabled", "action"]
    search_fields = ["name", "pattern", "notes"]
    change_list_template = "generations/admin/rules.html"

    def get_urls(self) -> list[URLPattern]:
        return [
            path("try/", self.admin_site.admin_view(self.trial_view), name="generations_rule_trial"),
            *super().get_urls(),
        ]

    def trial_view(self, request: HttpRequest) -> HttpResponse:
        """Nothing is stored; a rule that exists may be tried by its number."""
        if not self.has_view_permission(request) or not request.user.has_perm("generations.view_generation"):
            raise PermissionDenied
        known = request.GET.get("rule", "")
        rule = Rule.objects.filter(pk=int(known)).first() if known.isascii() and known.isdigit() else None
        initial = {"kind": rule.kind, "pattern": rule.pattern} if rule is not None else None
        form, trial = TrialForm(request.POST or None, initial=initial), None
        if form.is_valid():
            values = form.cleaned_data
            try:
                trial = rules.try_out(values["kind"], values["pattern"], values["newest"])
            except rules.BadPattern as error:
                form.add_error("pattern", str(error))
        context = {
            **self.admin_site.each_context(request),
            "title": "Try a rule",
            "opts": Rule._meta,
            "form": form,
            "trial": trial,
            "back": reverse("admin:generations_rule_changelist"),
        }
        return TemplateResponse(request, "generations/admin/rule_trial.html", context)
