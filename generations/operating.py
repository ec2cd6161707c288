"""What operators do to what others asked for. Each door is one transaction with its line in the audit log."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from generations import audit_log, deleted_files, limits, tasks, telling
from generations.models import UNFINISHED, Delivery, Generation, Policy, Requester, Tier
from generations.services import Operator

# Of a prompt that an operator puts before the others.
FIRST = 10


def cancel(generation: Generation, *, by: Operator | str) -> bool:
    """Stop a waiting or running generation. False when it had finished already."""
    cancelled = functools.partial(generation.cancel, actor=str(by))
    return _audited("cancelled", generation, by, ("status", "cancel_requested_at"), cancelled)


def approve(generation: Generation, *, by: Operator) -> bool:
    """Let a held prompt be made, or a held video be sent. False when neither is waiting for that."""
    with transaction.atomic():
        if _audited("approved", generation, by, ("status",), functools.partial(generation.queue, by=by)):
            tasks.ring(generation)
            return True
        return _audited("approved", generation, by, ("delivery",), functools.partial(generation.release, by=by))


def reject(generation: Generation, *, by: Operator, reason: str) -> bool:
    """Refuse a held prompt or a held video; the person is told the reason."""
    rejected = functools.partial(generation.reject, by=by, reason=reason)
    return _audited("rejected", generation, by, ("status", "delivery"), rejected, note=reason)


def hold(generation: Generation, *, by: Operator) -> bool:
    """Let nobody have the video before an operator has seen it. False when it is too late for that."""
    held = functools.partial(generation.hold, by=by)
    return _audited("held", generation, by, ("hold_delivery", "delivery"), held)


def resend(generation: Generation, *, by: Operator | str) -> bool:
    """Send a finished video once more when its delivery is unknown or failed."""
    return _audited("sent again", generation, by, ("delivery",), functools.partial(generation.resend, actor=str(by)))


def prioritise(generation: Generation, *, by: Operator, first: bool = True) -> bool:
    """Before everybody else's prompts, or back among them. False when it does not wait any more."""
    lane = FIRST if first else generation.requester.entitlement(Policy.current()).priority
    moved = functools.partial(generation.prioritise, lane, actor=str(by))
    return _audited("prioritised", generation, by, ("priority",), moved)


def mark_bad(generation: Generation, *, by: Operator, bad: bool = True) -> bool:
    """So that operators find it again, or not any more."""
    marked = functools.partial(generation.mark_bad, bad, actor=str(by))
    return _audited("marked bad", generation, by, ("marked_bad",), marked)


def delete_files(generation: Generation, *, by: Operator) -> bool:
    """The row stays, without video and poster. False while somebody waits for it, or when there is none."""
    with transaction.atomic():
        names = [name for name in (generation.file.name, generation.poster.name) if name]
        deleted = functools.partial(generation.delete_video, actor=str(by))
        done = _audited("files deleted", generation, by, ("file",), deleted)
        if done:
            transaction.on_commit(functools.partial(deleted_files.delete, names))
    return done


def _audited(
    action: audit_log.Action,
    generation: Generation,
    by: Operator | str,
    fields: Sequence[str],
    change: Callable[[], bool],
    note: str = "",
) -> bool:
    """Make the change; when an operator made it, it stands in the audit log. A string is no operator."""
    if isinstance(by, str):
        return change()
    with transaction.atomic():
        # Locked: what it was before is what the change itself finds.
        before = Generation.objects.select_for_update().filter(pk=generation.pk).values(*fields).first()
        changed = change()
        if changed:
            after = Generation.objects.filter(pk=generation.pk).values(*fields).first()
            audit_log.write(action, generation, by=by, before=before, after=after, note=note)
    return changed


def ban(requester: Requester, *, by: Operator, reason: str = "") -> int:
    """Refuse everything more from this person, and stop what waits or runs. Returns how many were stopped."""
    with transaction.atomic():
        # First the prompts, then the person: a worker that begins one locks them in this order.
        list(requester.generations.select_for_update().filter(status__in=UNFINISHED).order_by("pk").values("pk"))
        banned = {"banned_at": timezone.now(), "ban_reason": reason, "told_why_at": None}
        new = Requester.objects.filter(pk=requester.pk, banned_at=None).update(**banned)
        unfinished, held = requester.generations.filter(status__in=UNFINISHED), Q(delivery=Delivery.HELD)
        stopped = sum(generation.cancel(actor=f"{by} (ban)") for generation in unfinished)
        stopped += sum(generation.reject(by=by, reason=reason) for generation in requester.generations.filter(held))
        if new or stopped:
            after = {"banned": True, "prompts_stopped": stopped}
            audit_log.write("banned", requester, by=by, before={"banned": not new}, after=after, note=reason)
        return stopped


def grant(requester: Requester, videos: int, *, by: Operator) -> bool:
    """So many more for today, besides the daily limit. False when this person has none."""
    with transaction.atomic():
        requester = Requester.objects.select_for_update(of=("self",)).select_related("tier").get(pk=requester.pk)
        if not requester.entitlement(Policy.current()).daily_limit:
            return False
        before = limits.granted_today(requester)
        requester.grant(before + videos, timezone.localdate())
        audit_log.write("granted", requester, by=by, before={"more": before}, after={"more": before + videos})
        telling.tell("granted", requester, videos)
    return True


def give_tier(requester: Requester, tier: Tier | None, *, by: Operator) -> bool:
    """None takes it away. False when it is so already."""
    with transaction.atomic():
        before = Requester.objects.select_for_update(of=("self",)).select_related("tier").get(pk=requester.pk).tier
        if before == tier:
            return False
        Requester.objects.filter(pk=requester.pk).update(tier=tier)
        names = [str(each) if each is not None else "" for each in (before, tier)]
        audit_log.write("changed", requester, by=by, before={"tier": names[0]}, after={"tier": names[1]})
    return True


def unban(requester: Requester, *, by: Operator) -> bool:
    """False when this person was not banned."""
    with transaction.atomic():
        banned = Requester.objects.select_for_update().filter(pk=requester.pk).exclude(banned_at=None)
        before = banned.values("banned_at", "ban_reason").first()
        if before is not None:
            banned.update(banned_at=None, ban_reason="", told_why_at=None)
            audit_log.write("unbanned", requester, by=by, before=before, after={"banned_at": None, "ban_reason": ""})
    return before is not None


def is_paused() -> bool:
    """Are no new prompts taken?"""
    return Policy.current().paused


def pause(*, by: Operator) -> bool:
    """Take no new prompts; what was accepted is still made. False when that is so already."""
    return _pause(True, by, "paused")


def resume(*, by: Operator) -> bool:
    """Take prompts again."""
    return _pause(False, by, "resumed")


def _pause(paused: bool, by: Operator, action: audit_log.Action) -> bool:
    with transaction.atomic():
        changed = Policy.pause(paused, by=by)
        if changed:
            audit_log.write(action, Policy.current(), by=by, before={"paused": not paused}, after={"paused": paused})
    return changed
