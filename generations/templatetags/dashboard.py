"""The facts of the first page, for a template that Django's own view renders."""

from __future__ import annotations

from typing import Any

from django import template

from generations.admin import dashboard

register = template.Library()


@register.simple_tag
def dashboard_facts() -> dict[str, Any]:
    return dashboard.facts()
