"""Group chats: which there are, whether prompts are taken there, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from generations.models import Group, Policy
from generations.prompts import storable


def locked(chats: Mapping[int, str]) -> dict[int, Group]:
    """Their rows by chat id, made where they are new, locked in one order for all processes.

    chats: titles by chat id; an unknown title ("") changes nothing.
    """
    if not chats:
        return {}
    chats = {chat_id: storable(title, 256) for chat_id, title in chats.items()}
    rows = Group.objects.select_for_update().filter(chat_id__in=chats).order_by("chat_id")
    found = {group.chat_id: group for group in rows}
    if len(found) < len(chats):
        new = [Group(chat_id=chat_id, title=title) for chat_id, title in sorted(chats.items()) if chat_id not in found]
        Group.objects.bulk_create(new, ignore_conflicts=True)
        found = {group.chat_id: group for group in rows.all()}
    for chat_id, group in found.items():
        title = chats[chat_id]
        if title and title != group.title:
            group.title = title
            group.save(update_fields=["title"])
    return found


def seen(chat_id: int, title: str) -> Group:
    """Somebody speaks to the bot there."""
    known = Group.objects.filter(chat_id=chat_id).first()
    if known is not None and title in {known.title, ""}:
        # Hardly ever anything else, and a look costs less than a lock.
        return known
    with transaction.atomic():
        return locked({chat_id: title})[chat_id]


def takes_prompts(chat_id: int, title: str) -> bool:
    """Asked whenever somebody speaks to the bot there."""
    return seen(chat_id, title).is_open(Policy.current())


def moved(old_id: int, new_id: int) -> None:
    """The operators' switch and limit go along. Whoever was faster under the new id has left a row without them."""
    with transaction.atomic():
        old = Group.objects.filter(chat_id=old_id).first()
        if old is not None:
            Group.objects.filter(chat_id=new_id).delete()
            Group.objects.filter(pk=old.pk).update(chat_id=new_id)
