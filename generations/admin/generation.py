"""Generations: the list, the page of one, and its levers. Everything a machine wrote is only shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from generations import services
from generations.admin import dashboard, exporting, facts, review
from generations.admin.actions import CANNOT_RERUN, GenerationActions
from generations.admin.audited import Audited
from generations.admin.filters import (
    FailureFilter,
    FlaggedFilter,
    MarkedBadFilter,
    PresetFilter,
    ReportedFilter,
    RequesterBannedFilter,
    WorkerFilter,
)
from generations.admin.levers import LEVERS, Lever, RerunForm, is_held
from generations.admin.lineage import lineage
from generations.admin.shared import (
    LongList,
    ReasonForm,
    form_page,
)
from generations.engine.base import EngineError
from generations.engine.card import InvalidSpec
from generations.flags import InvalidFlag
from generations.models import Delivery, Generation, Requester, Status
from generations.prompts import PromptRefused
from generations.roles import RERUN, REVIEW

# Nothing changes any more unless somebody pulls a lever.
SETTLED = (Delivery.NONE, Delivery.DELIVERED, Delivery.UNDELIVERABLE, Delivery.UNKNOWN)
# A word that is part of more names than this finds the newest people only.
PEOPLE_SEARCHED = 500
# Each word costs a query; what follows these is taken as one.
WORDS_SEARCHED = 8
# Where no index finds words inside a text, a search reads rows: the newest so many.
ROWS_SEARCHED = 200_000
# SQLite has no such index; that of PostgreSQL knows letters by threes.
SHORTEST_INDEXED = None if connection.vendor == "sqlite" else 3


@admin.register(Generation)
class GenerationAdmin(Audited, LongList, facts.GenerationFacts, GenerationActions):
    list_display = [
        "thumbnail",
        "pills",
        "short_prompt",
        "person",
        "seed",
        "created_at",
        "times",
    ]
    list_display_links = None
    list_filter = [
        "status",
        "delivery",
        "created_at",
        PresetFilter,
        WorkerFilter,
        FailureFilter,
        ReportedFilter,
        FlaggedFilter,
        MarkedBadFilter,
        RequesterBannedFilter,
    ]
    list_select_related = ["requester"]
    search_fields = ["prompt"]
    search_help_text = "Words of the prompt, or the person's name or number. " + (
        f"Of the newest {ROWS_SEARCHED:,} prompts."
        if SHORTEST_INDEXED is None
        else f"Words of one or two letters: of the newest {ROWS_SEARCHED:,} prompts."
    )
    # By anything but age, a million rows would be sorted for each page.
    sortable_by = ["created_at"]
    fieldsets = facts.FIELDSETS
    readonly_fields = facts.METHODS
    change_list_template = "generations/admin/list.html"
    change_form_template = "generations/admin/generation.html"

    class Media:
        js = ["generations/live.js"]

    # --- who may do what

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Generation | None = None) -> bool:
        """History is never edited: Django's own form stays read-only for everybody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Generation | None = None) -> bool:
        """Never while somebody still waits for the answer."""
        untold = obj is not None and (
            not obj.is_finished or obj.delivery in (Delivery.HELD, Delivery.WAITING, Delivery.SENDING)
        )
        return not untold and super().has_delete_permission(request, obj)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Generation]) -> list[LogEntry]:
        """By number only: once the row is gone, nothing finds its prompt in the log when its person is erased."""
        bare: Any = [Generation(pk=row.pk) for row in queryset]
        return super().log_deletions(request, bare)

    # --- the list

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Generation], search_term: str
    ) -> tuple[QuerySet[Generation], bool]:
        """Each word in the prompt or in the person's name. People are looked up first: a join would be far slower."""
        words = search_term.split(maxsplit=WORDS_SEARCHED)
        if any(SHORTEST_INDEXED is None or len(word) < SHORTEST_INDEXED for word in words):
            newest = Generation.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
            queryset = queryset.filter(pk__gt=newest - ROWS_SEARCHED)
        for word in words:
            named = Q(display_name__icontains=word) | Q(username__icontains=word) | Q(user_id__startswith=word)
            people = Requester.objects.filter(named).order_by("-pk").values_list("pk", flat=True)[:PEOPLE_SEARCHED]
            queryset = queryset.filter(Q(prompt__icontains=word) | Q(requester__in=list(people)))
        return queryset, False

    # --- the page of one generation

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
            return self.admin_site.admin_view(view)

        return [
            *review.urls(self.admin_site),
            path("dashboard/", page(dashboard.fragment), name="generations_dashboard"),
            path("export/<slug:kind>/", page(self.export_view), name="generations_generation_export"),
            path("<int:pk>/live/", page(self.live_view), name="generations_generation_live"),
            path("<int:pk>/reject/", page(self.reject_view), name="generations_generation_reject"),
            path("<int:pk>/rerun/", page(self.rerun_view), name="generations_generation_rerun"),
            path("<int:pk>/do/<slug:name>/", page(self.lever_view), name="generations_generation_lever"),
            *super().get_urls(),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj: Generation | None = kwargs.get("obj")
        if obj is not None:
            context |= self._live(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What live.js puts in the place of what is shown."""
        generation = get_object_or_404(Generation.objects.select_related("requester"), pk=pk)
        if not self.has_view_permission(request, generation):
            raise PermissionDenied
        context = {"original": generation, **self._live(request, generation)}
        return TemplateResponse(request, "generations/admin/generation_live.html", context)

    def _live(self, request: HttpRequest, obj: Generation) -> dict[str, Any]:
        origin, _, number = obj.request_key.partition("/")[0].partition(":")
        return {
            "is_settled": obj.is_finished and obj.delivery in SETTLED,
            "step": round(obj.progress * obj.steps / 100) if obj.status == Status.RUNNING else 0,
            "lineage": lineage(obj),
            # Of Telegram's message, when it came with one.
            "update_number": int(number) if origin == "update" and number.isdecimal() else None,
            "levers": {name: lever for name, lever in LEVERS.items() if self._may_pull(request, obj, lever)},
            "can_reject": is_held(obj) and self.has_review_permission(request),
            "can_rerun": self.has_rerun_permission(request),
            "status_pill": self.status_pill(obj),
            "delivery_pill": self.delivery_pill(obj),
            "person": self.person(obj),
            "waited": self.waited(obj),
            "rendered_in": self.rendered_in(obj),
            "events": obj.events.all(),
            **self.links(obj),
        }

    @method_decorator(require_POST)
    def lever_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        if name not in LEVERS:
            raise Http404
        generation = self._target(request, pk, LEVERS[name].permission)
        try:
            new = self._pull(request, generation, name)
        except CANNOT_RERUN as error:
            # The model or its range is another one since; the form lets the operator choose legal values.
            self.message_user(request, f"It cannot be rendered as it was: {error}", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:generations_generation_rerun", args=[pk]))
        if not new:
            self.message_user(request, f"{LEVERS[name].label}: the state has changed meanwhile.", messages.WARNING)
        elif new is True:
            self.message_user(request, f"{LEVERS[name].done}.", messages.SUCCESS)
        else:
            self._say_queued(request, [new])
        return HttpResponseRedirect(self._address(generation))

    def reject_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        generation = self._target(request, pk, REVIEW)
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            self._reject(request, [generation], form.cleaned_data["reason"])
            return HttpResponseRedirect(self._address(generation))
        return self._form_page(request, generation, form, title=f"Reject {generation}", button="Reject")

    def rerun_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        generation = self._target(request, pk, RERUN)
        form = RerunForm(request.POST or None, initial=RerunForm.values_of(generation))
        if form.is_valid():
            try:
                new = services.rerun(generation, by=self._operator(request), **form.changes())
            except (PromptRefused, InvalidFlag) as error:
                form.add_error("prompt", str(error))
            except InvalidSpec as error:
                form.add_error(error.field if error.field in form.fields else None, str(error))
            except EngineError as error:
                form.add_error(None, str(error))
            else:
                self.log_change(request, generation, f"Re-run with changes as #{new.pk}.")
                self._say_queued(request, [new])
                return HttpResponseRedirect(self._address(new))
        return self._form_page(request, generation, form, title=f"Re-run {generation}", button="Queue it")

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """All that the list shows with the filters in the address, not only a page of it."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        if kind not in exporting.FORMATS:
            raise Http404
        try:
            rows = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            # As Django's list does: it says what is wrong there.
            return HttpResponseRedirect(f"{reverse('admin:generations_generation_changelist')}?{ERROR_FLAG}=1")
        return exporting.download(request, rows, kind)

    # --- how the levers work

    @staticmethod
    def _may_pull(request: HttpRequest, generation: Generation, lever: Lever) -> bool:
        return lever.offered(generation) and request.user.has_perm(lever.permission)

    def _target(self, request: HttpRequest, pk: int, permission: str) -> Generation:
        if not request.user.has_perm(permission):
            raise PermissionDenied
        return get_object_or_404(Generation.objects.select_related("requester"), pk=pk)

    def _form_page(
        self, request: HttpRequest, generation: Generation, form: forms.Form, *, title: str, button: str
    ) -> HttpResponse:
        back = self._address(generation)
        return form_page(self.admin_site, request, Generation, title=title, form=form, button=button, back=back)

    @staticmethod
    def _address(generation: Generation) -> str:
        return reverse("admin:generations_generation_change", args=[generation.pk])
