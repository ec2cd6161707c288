"""Who may submit at all: whom the policy lets in, and who has accepted its terms. limits.py holds them to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from generations import audit_log, limits, services, telling
from generations.models import Policy, Requester

# Whoever is refused for who they are reads the reason once in this time, and is answered shortly otherwise.
WHY_AGAIN = timedelta(days=1)


def closed_to(user_id: int) -> str:
    """The policy's access, when that keeps this person out; "" for whoever may submit."""
    access = Policy.current().access
    if access == Policy.Access.OPEN or limits.operators([user_id]):
        return ""
    return "" if Requester.objects.filter(user_id=user_id, admitted_at__isnull=False).exists() else str(access)


def admit(requester: Requester, *, by: services.Operator | None = None) -> bool:
    """From now on this person may submit, whomever the policy lets in. False when that was so before.

    by: the operator who did it on purpose; None: it follows from something else.
    """
    return _audited("access given", requester, by, requester.admit)


def withdraw_access(requester: Requester, *, by: services.Operator | None = None) -> bool:
    """A stranger again, where the policy lets in only some."""
    return _audited("access withdrawn", requester, by, requester.withdraw_access)


def _audited(
    action: audit_log.Action, requester: Requester, by: services.Operator | None, change: Callable[[], bool]
) -> bool:
    with transaction.atomic():
        changed = change()
        if changed and by is not None:
            given = action == "access given"
            audit_log.write(action, requester, by=by, before={"access": not given}, after={"access": given})
            # Where everybody is let in, nobody notices.
            if given and Policy.current().access != Policy.Access.OPEN:
                telling.tell("access given", requester)
    return changed


def terms() -> tuple[str, int]:
    """The words, which are "" when there are none, and their version."""
    policy = Policy.current()
    return policy.terms, policy.terms_version


def owes_terms(user_id: int) -> bool:
    """Are there terms that this person has not accepted?"""
    words, version = terms()
    return bool(words) and not Requester.objects.filter(user_id=user_id, terms_accepted_version=version).exists()


def accept_terms(person: services.Person, version: int) -> bool:
    """False when they have changed since."""
    with transaction.atomic():
        requester = services.remember(person)
        current = terms()[1] == version
        if current:
            requester.accept_terms(version)
    return current


def told_why(user_id: int) -> bool:
    """Note that this person reads today why nothing is made for them. False when they have within a day."""
    before = Q(told_why_at=None) | Q(told_why_at__lt=timezone.now() - WHY_AGAIN)
    return Requester.objects.filter(before, user_id=user_id).update(told_why_at=timezone.now()) == 1
