"""When a result arrives without a sound: always, if the person wants that, and in the hours that the policy names."""

from __future__ import annotations

from django.utils import timezone

from generations.models import Generation, Policy


def is_silent(generation: Generation) -> bool:
    return generation.requester.silent or is_night(timezone.localtime().hour, Policy.current())


def is_night(hour: int, policy: Policy) -> bool:
    """Hours of the site's time zone; from the first up to, but without, the last. Two equal hours are a whole day."""
    begin, end = policy.quiet_from, policy.quiet_until
    if begin is None or end is None:
        return False
    return begin <= hour < end if begin < end else hour >= begin or hour < end
