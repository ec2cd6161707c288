"""Who in Telegram is an operator, and may do what: asked of the database at every command and press."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet

from generations import audit_log, services

from .models import OperatorAccount

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, User

# What every operator may do who is to be told anything.
SEE = "generations.view_generation"


def operator_of(telegram_id: int, permission: str = SEE) -> User | None:
    """The staff member whom this person is, if that one has the permission now. permission: "app.codename"."""
    account = _accounts().filter(telegram_id=telegram_id).first()
    return account.user if account is not None and account.user.has_perm(permission) else None


def operator_chats(permission: str = SEE) -> list[int]:
    """Where operators are told something: their chat, or else the private chat of each who has the permission.

    Empty when there is nobody to tell.
    """
    chat_id = services.operators_chat()
    if chat_id is not None:
        return [chat_id]
    return [account.telegram_id for account in _accounts().order_by("pk") if account.user.has_perm(permission)]


def chat_of(user: AbstractBaseUser) -> int | None:
    """The private chat of this operator, where it is known."""
    return _accounts().filter(user=user.pk).values_list("telegram_id", flat=True).first()


def among(telegram_ids: Collection[int]) -> set[int]:
    """Who of them is an operator at all."""
    return set(_accounts().filter(telegram_id__in=telegram_ids).values_list("telegram_id", flat=True))


def is_operators_chat(chat_id: int, telegram_id: int) -> bool:
    """May this operator be told things here? In their chat, or in private."""
    return chat_id in (telegram_id, services.operators_chat())


def forget(telegram_id: int) -> None:
    """Everything that is kept of this person is to go: then they are no operator in Telegram any more."""
    OperatorAccount.objects.filter(telegram_id=telegram_id).delete()
    audit_log.forget_value(OperatorAccount, "telegram_id", telegram_id)


def account_of(telegram_id: int) -> dict[str, Any] | None:
    """What is kept of this person as an operator."""
    account = OperatorAccount.objects.select_related("user").filter(telegram_id=telegram_id).first()
    return {"user": account.user.get_username(), "since": account.created_at} if account else None


def _accounts() -> QuerySet[OperatorAccount]:
    return OperatorAccount.objects.select_related("user").filter(user__is_active=True, user__is_staff=True)
