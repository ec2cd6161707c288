"""Times with their zone."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone

register = template.Library()


@register.filter
def clock(at: datetime) -> str:
    """In the operators' zone. Django's own "T" leaves the zone out in the hour that a clock change repeats."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z")
