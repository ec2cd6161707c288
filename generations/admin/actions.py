"""What operators do to one generation or to many: each action calls a service and says what became of every row."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.html import format_html

from generations import operating, services
from generations.admin import bulk, exporting
from generations.admin.levers import LEVERS, is_held
from generations.admin.shared import GenerationModelAdmin, ReasonForm, form_page, link
from generations.engine.base import EngineError
from generations.engine.card import InvalidSpec
from generations.models import Generation
from generations.prompts import PromptRefused
from generations.roles import CANCEL, EXPORT, PRIORITISE, RERUN, RESEND, REVIEW

# EngineError: the model folder cannot be read.
CANNOT_RERUN = (PromptRefused, InvalidSpec, EngineError)
# So many new rows are named at most.
NAMED = 20


class GenerationActions(GenerationModelAdmin):
    actions = [
        "approve_selected",
        "reject_selected",
        "hold_selected",
        "cancel_selected",
        "rerun_same_selected",
        "rerun_new_selected",
        "resend_selected",
        "first_selected",
        "in_turn_selected",
        "bad_selected",
        "not_bad_selected",
        "delete_files_selected",
        "export_csv_selected",
        "export_json_selected",
    ]

    # --- who may do what

    def has_review_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(REVIEW)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CANCEL)

    def has_rerun_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RERUN)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RESEND)

    def has_prioritise_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PRIORITISE)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(EXPORT)

    # --- actions on the list

    @admin.action(description="Approve", permissions=["review"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "approve")

    @admin.action(description="Reject…", permissions=["review"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> HttpResponse | None:
        form = ReasonForm(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            self._reject(request, queryset, form.cleaned_data["reason"])
            return None
        return form_page(
            self.admin_site,
            request,
            Generation,
            title=f"Reject {queryset.count()} prompts",
            form=form,
            button="Reject",
            back=request.get_full_path(),
            rows=queryset,
            action="reject_selected",
        )

    @admin.action(description="Hold the videos", permissions=["review"])
    def hold_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "hold")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "cancel")

    @admin.action(description="Re-run, same seed", permissions=["rerun"])
    def rerun_same_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "rerun-same")

    @admin.action(description="Re-run, new seed", permissions=["rerun"])
    def rerun_new_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "rerun-new")

    @admin.action(description="Send again", permissions=["resend"])
    def resend_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "resend")

    @admin.action(description="Put first", permissions=["prioritise"])
    def first_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "first")

    @admin.action(description="Back to their turn", permissions=["prioritise"])
    def in_turn_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "in-turn")

    @admin.action(description="Mark bad", permissions=["review"])
    def bad_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "bad")

    @admin.action(description="Take the mark back", permissions=["review"])
    def not_bad_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "not-bad")

    @admin.action(description="Delete the files", permissions=["delete"])
    def delete_files_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        self._pull_each(request, queryset, "delete-files")

    @admin.action(description="Export as CSV", permissions=["export"])
    def export_csv_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> HttpResponseBase:
        return exporting.download(request, queryset, "csv")

    @admin.action(description="Export as JSON", permissions=["export"])
    def export_json_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> HttpResponseBase:
        return exporting.download(request, queryset, "json")

    # --- how they work

    def _pull(self, request: HttpRequest, generation: Generation, name: str) -> Generation | bool:
        lever = LEVERS[name]
        outcome = lever.pull(generation, self._operator(request))
        if outcome:
            made = "" if outcome is True else f" as #{outcome.pk}"
            self.log_change(request, generation, f"{lever.done}{made}.")
        return outcome

    def _pull_each(self, request: HttpRequest, queryset: QuerySet[Generation], name: str) -> None:
        lever, outcomes, made = LEVERS[name], bulk.Outcomes(), list[Generation]()
        # Oldest first, so that re-runs queue in the order in which people asked.
        for generation in queryset.select_related("requester").order_by("pk"):
            offered = lever.offered(generation)
            try:
                outcome = self._pull(request, generation, name)
            except CANNOT_RERUN as error:
                self.message_user(request, f"#{generation.pk}: {error}", messages.ERROR)
                continue
            if isinstance(outcome, Generation):
                made.append(outcome)
            elif outcome:
                outcomes.changed += 1
            else:
                generation.refresh_from_db()
                outcomes.skip(generation, bulk.MEANWHILE if offered else lever.needs)
        if made:
            self._say_queued(request, made)
        outcomes.say(request, self, lever.done)

    def _reject(self, request: HttpRequest, rows: QuerySet[Generation] | list[Generation], reason: str) -> None:
        by, outcomes = self._operator(request), bulk.Outcomes()
        for row in rows:
            offered = is_held(row)
            if operating.reject(row, by=by, reason=reason):
                outcomes.changed += 1
                self.log_change(request, row, f"Rejected: {reason}")
            else:
                row.refresh_from_db()
                outcomes.skip(row, bulk.MEANWHILE if offered else LEVERS["approve"].needs)
        outcomes.say(request, self, "Rejected", " The reason is sent.")

    def _say_queued(self, request: HttpRequest, rows: list[Generation]) -> None:
        for row in rows[:NAMED]:
            self.message_user(request, format_html("Queued as {}.", link(row, f"#{row.pk}")), messages.SUCCESS)
        if len(rows) > NAMED:
            self.message_user(request, f"And {len(rows) - NAMED} more.", messages.SUCCESS)

    @staticmethod
    def _operator(request: HttpRequest) -> services.Operator:
        # admin_view lets nobody in who is not logged in.
        assert request.user.is_authenticated
        return request.user
