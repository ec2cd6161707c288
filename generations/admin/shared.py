"""What several admin pages use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite, ModelAdmin, ShowFacets, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from generations import services
from generations.engine.base import EngineError
from generations.engine.presets import PRESETS
from generations.models import AuditEntry, Erasure, Generation, Group, Policy, Requester, Rule, Style, Tier

if TYPE_CHECKING:
    # These classes take a parameter in their stubs only.
    RowPaginator = Paginator[Any]
    MixedModelAdmin = ModelAdmin[Any]
    RequesterModelAdmin = ModelAdmin[Requester]
    RequesterModelForm = forms.ModelForm[Requester]
    TierModelAdmin = ModelAdmin[Tier]
    GenerationModelAdmin = ModelAdmin[Generation]
    GroupModelAdmin = ModelAdmin[Group]
    ErasureModelAdmin = ModelAdmin[Erasure]
    AuditModelAdmin = ModelAdmin[AuditEntry]
    PolicyModelAdmin = ModelAdmin[Policy]
    PolicyModelForm = forms.ModelForm[Policy]
    StyleModelAdmin = ModelAdmin[Style]
    StyleModelForm = forms.ModelForm[Style]
    RuleModelAdmin = ModelAdmin[Rule]
    RuleModelForm = forms.ModelForm[Rule]
else:
    RowPaginator = Paginator
    MixedModelAdmin = object
    RequesterModelAdmin = GenerationModelAdmin = GroupModelAdmin = ErasureModelAdmin = ModelAdmin
    PolicyModelAdmin = TierModelAdmin = StyleModelAdmin = AuditModelAdmin = RuleModelAdmin = ModelAdmin
    PolicyModelForm = RequesterModelForm = StyleModelForm = RuleModelForm = forms.ModelForm

# An action is one transaction per row; more would outlast the web server's patience.
MAX_AT_ONCE = 200


class BoundedPaginator(RowPaginator):
    """Pages over the first so many rows. Nobody leafs through a million, and to count them takes seconds.

    The keys are fetched once, for the count and the pages: a search looks at every row, and twice is once too often.
    """

    most = 10_000

    @cached_property
    def keys(self) -> list[Any]:
        rows: Any = self.object_list
        return list(rows.values_list("pk", flat=True)[: self.most])

    @cached_property
    def count(self) -> int:
        return len(self.keys)

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        rows: Any = self.object_list
        return Page(rows.filter(pk__in=self.keys[first : first + self.per_page]), number, self)


class BoundedChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            # Django would look for the rows of a single page anew.
            self.result_list = self.paginator.page(1).object_list


class LongList(MixedModelAdmin):
    """A list that may hold a million rows: bounded pages, no counts beside filters, no action on all of them."""

    paginator = BoundedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        everything = request.POST.get("select_across") == "1"
        if everything and queryset[: MAX_AT_ONCE + 1].count() > MAX_AT_ONCE:
            self.message_user(request, f"Choose at most {MAX_AT_ONCE} rows at a time.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args, **kwargs)


class BannedFilter(SimpleListFilter):
    title = "standing"
    parameter_name = "banned"
    field = "banned_at"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("yes", "Banned"), ("no", "Not banned")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(**{f"{self.field}__isnull": self.value() == "no"})


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=200, widget=forms.Textarea(attrs={"rows": 3, "cols": 60}), help_text="The person is told this."
    )


class ConfirmForm(forms.Form):
    sure = forms.BooleanField(
        label="Erase everything",
        help_text="Name, prompts, videos, stored messages. What is on its way is stopped. It cannot be undone. A ban "
        "stays, as a number and a time.",
    )


class MultilineField(forms.CharField):
    """Text as typed: spaces stay, and a browser's line ends become those of the chat."""

    def __init__(self, *, rows: int, **options: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows, "cols": 80})
        super().__init__(strip=False, widget=widget, **options)

    def to_python(self, value: object) -> str | None:
        text: str | None = super().to_python(value)
        return text.replace("\r\n", "\n") if text else text


def preset_choices() -> list[tuple[str, str]]:
    """Name and sentence of every preset of the model that is served; of all there are while it cannot be read."""
    try:
        names = services.model_card().presets
    except EngineError:
        names = tuple(PRESETS)
    return [(name, f"{name}: {PRESETS[name].sentence}") for name in names]


def form_page(
    site: AdminSite,
    request: HttpRequest,
    model: type[Model],
    *,
    title: str,
    form: forms.Form,
    button: str,
    back: str,
    rows: QuerySet[Any] | None = None,
    action: str = "",
) -> TemplateResponse:
    """A page with one form. With rows and action it is the second step of a bulk action."""
    context = {
        **site.each_context(request),
        "title": title,
        "opts": model._meta,
        "form": form,
        "button": button,
        "back": back,
        "rows": rows,
        "action": action,
    }
    return TemplateResponse(request, "generations/admin/form_page.html", context)


def pill(kind: str, label: str) -> SafeString:
    return format_html('<span class="pill pill-{}">{}</span>', kind, label)


def link(row: Model, label: str) -> SafeString:
    """To the row's own page. bdi: a name may hold characters that turn the text around it."""
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}"><bdi>{}</bdi></a>', address, label)


def shortened(text: str, characters: int = 90) -> str:
    return Truncator(" ".join(text.split())).chars(characters)


def seconds(value: float | None) -> str:
    """12 s, 3 min 20 s, 2 h 5 min. Never below zero: between two readings the clock may have been set back."""
    if value is None:
        return "–"
    value = max(value, 0.0)
    whole = round(value)
    if whole < 60:
        return f"{value:.1f} s" if whole < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
