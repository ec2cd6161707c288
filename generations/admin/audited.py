"""Every change by one of Django's own forms and pages stands in the audit log, and each row leads to its part of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from generations import audit_log
from generations.admin.shared import MixedModelAdmin
from generations.models import Requester


class Audited(MixedModelAdmin):
    """First among the bases. Django saves in a transaction, of which the entry is part."""

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        # The form has changed its own row already. Locked, so that of two operators each one's before is right.
        stored = self.model._default_manager.select_for_update().filter(pk=form.instance.pk).first()
        form.stored = None if stored is None else audit_log.snapshot(stored)
        return super().save_form(request, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        now = audit_log.snapshot(form.instance)
        if now != form.stored:
            action: audit_log.Action = "changed" if change else "added"
            audit_log.write(action, form.instance, by=_operator(request), before=form.stored, after=now)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            audit_log.write("deleted", obj, by=_operator(request), before=audit_log.snapshot(obj))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            for row in list(queryset):
                self.delete_model(request, row)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What the button History shows."""
        if self.has_view_permission(request) and request.user.has_perm("generations.view_auditentry"):
            return HttpResponseRedirect(history_of(self.model, object_id))
        return super().history_view(request, object_id, extra_context)


def history_of(model: type[Model], object_id: str) -> str:
    """Of a person also what was done to their prompts and requests."""
    of = {"person": object_id} if model is Requester else {}
    chosen = urlencode(of or {"object_type": model._meta.label_lower, "object_id": object_id})
    return f"{reverse('admin:generations_auditentry_changelist')}?{chosen}"


def _operator(request: HttpRequest) -> Any:
    # admin_view lets nobody in who is not logged in.
    assert request.user.is_authenticated
    return request.user
