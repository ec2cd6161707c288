"""Links that let people in: t.me/bot?start=CODE, which Telegram sends back as "/start CODE"."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from generations import access, audit_log, services

from . import access_requests, lease
from .models import Invitation, InvitationUse


class Unusable(Exception):
    """It lets in nobody (any more). why: unknown, revoked, expired, used up, banned."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def redeem(person: services.Person, code: str) -> bool:
    """Let this person in, which costs the invitation one use. False when the person had access anyway.

    Handled again, the same start finds its use. Raises Unusable.
    """
    if not access.closed_to(person.user_id):
        return _came_by(code, person)
    with transaction.atomic():
        # Locked: of two starts by one person the second finds what the first did.
        requester = services.remember(person)
        if not access.closed_to(person.user_id):
            return _came_by(code, person)
        invitation = Invitation.objects.filter(code=code).first()
        if invitation is None:
            raise Unusable("unknown")
        if requester.is_banned:
            raise Unusable("banned")
        # Once per person: else whoever is put out would come in again the same way.
        if _came_by(code, person) or not invitation.take():
            invitation.refresh_from_db()
            raise Unusable(why_not(invitation) or "used up")
        InvitationUse.objects.create(invitation=invitation, requester=requester)
        access.admit(requester)
        access_requests.settled_by_invitation(requester.pk)
        return True


def _came_by(code: str, person: services.Person) -> bool:
    return InvitationUse.objects.filter(invitation__code=code, requester__user_id=person.user_id).exists()


def why_not(invitation: Invitation) -> str:
    """As it was when it was read; "" while it lets somebody in."""
    if invitation.revoked_at is not None:
        return "revoked"
    if invitation.expires_at is not None and invitation.expires_at <= timezone.now():
        return "expired"
    return "used up" if invitation.uses_left == 0 else ""


def revoke(invitation: Invitation, *, by: services.Operator) -> bool:
    """It lets in nobody more. False when that was so before."""
    with transaction.atomic():
        revoked = invitation.revoke()
        if revoked:
            audit_log.write("revoked", invitation, by=by, before={"revoked": False}, after={"revoked": True})
    return revoked


def of_person(user_id: int) -> list[dict[str, object]]:
    """For whoever wants to see all that is kept."""
    uses = InvitationUse.objects.filter(requester__user_id=user_id).order_by("pk")
    return [{"invitation": use.invitation_id, "at": use.at} for use in uses]


def link(invitation: Invitation) -> str:
    """What to give to people; "" while the bot's name is not known, because it has never run."""
    name = lease.username()
    return f"https://t.me/{name}?start={invitation.code}" if name else ""
