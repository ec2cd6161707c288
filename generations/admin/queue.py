"""django-rq's pages, for the role Admin only: they show, requeue and delete any job, past every rule of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard

from generations.roles import USE_RQ

View = Callable[..., HttpResponseBase]


def permitted(view: View) -> View:
    """Refuse staff without the permission; everybody else is the view's own business (login page, API token)."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_staff and not request.user.has_perm(USE_RQ):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return checked


# RQ_SHOW_ADMIN_LINK is off, so django-rq has not registered its own.
@admin.register(Dashboard)
class PermittedQueueAdmin(QueueAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(USE_RQ)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(USE_RQ)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(USE_RQ)

    def get_urls(self) -> list[URLPattern]:
        patterns: list[URLPattern] = super().get_urls()  # type: ignore[no-untyped-call]
        for pattern in patterns:
            pattern.callback = permitted(pattern.callback)
        return patterns
