"""What is done in a browser stands in the audit log as done there."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase


class ThroughTheAdmin:
    """Each request, from the session on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        from generations import audit_log

        self.get_response = get_response
        self.through = audit_log.through
        self.via = audit_log.Via.ADMIN

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with self.through(self.via):
            return self.get_response(request)
