"""Who in Telegram is an operator: what the database says at this moment, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.test import Client

from generations import erasing, operating, services
from generations.models import AuditEntry, Policy
from telegram_bot import privacy
from telegram_bot.models import OperatorAccount
from telegram_bot.operators import SEE, is_operators_chat, operator_chats, operator_of
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House, jobs, set_policy

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

PAUSE = "generations.change_policy"
ACCOUNTS = "/admin/telegram_bot/operatoraccount/"


def make_operator(telegram_id: int, *permissions: str, **facts: Any) -> User:
    """A member of staff with these permissions, known in Telegram by this number."""
    user = User.objects.create_user(f"operator{telegram_id}", **{"is_staff": True, **facts})
    codenames = [permission.partition(".")[2] for permission in permissions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    OperatorAccount.objects.create(user=user, telegram_id=telegram_id)
    return user


def test_an_operator_may_what_the_user_may_at_this_moment() -> None:
    user = make_operator(ALICE, SEE, PAUSE)
    assert operator_of(ALICE, PAUSE) == operator_of(ALICE) == user
    user.user_permissions.set(Permission.objects.filter(codename="view_generation"))
    assert (operator_of(ALICE, PAUSE), operator_of(ALICE)) == (None, user)
    assert operator_of(BOB) is None


@pytest.mark.parametrize("lost", ["is_active", "is_staff"])
def test_whoever_may_not_log_into_the_admin_is_no_operator_here(lost: str) -> None:
    make_operator(ALICE, SEE, is_superuser=True, **{lost: False})
    assert operator_of(ALICE) is None
    assert operator_chats() == []


def test_operators_are_told_in_their_chat_or_else_each_in_private() -> None:
    make_operator(BOB, SEE)
    make_operator(ALICE, SEE, PAUSE)
    make_operator(7)
    assert (operator_chats(), operator_chats(PAUSE)) == ([BOB, ALICE], [ALICE])
    assert (is_operators_chat(ALICE, ALICE), is_operators_chat(GROUP, ALICE)) == (True, False)
    Policy.objects.update(operators_chat_id=GROUP)
    assert operator_chats() == [GROUP]
    assert is_operators_chat(GROUP, ALICE)
    services.chat_moved(GROUP, -2002)
    assert operator_chats() == [-2002], "the group became a supergroup"


def test_nobody_without_the_permission_says_who_is_an_operator() -> None:
    boss, clerk = Client(), Client()
    boss.force_login(User.objects.create_superuser("olga"))
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.exclude(content_type__model="operatoraccount"))
    clerk.force_login(user)
    form = {"user": user.pk, "telegram_id": ALICE}
    assert clerk.get(ACCOUNTS).status_code == clerk.post(f"{ACCOUNTS}add/", form).status_code == 403
    assert "stands under Requesters" in boss.get(f"{ACCOUNTS}add/").content.decode()
    assert boss.post(f"{ACCOUNTS}add/", form | {"telegram_id": GROUP}).status_code == 200, "a group is no person"
    boss.post(f"{ACCOUNTS}add/", form)
    assert operator_of(ALICE) == user


async def test_while_the_intake_is_paused_prompts_are_refused_with_the_notice(house: House) -> None:
    await house.say("a red circle")
    await set_policy(paused=True, pause_notice="Back at nine.")
    assert (await house.say("a blue square"))[-1].text == "No new prompts are taken right now. Back at nine."
    await set_policy(pause_notice="")
    assert (await house.say("again", BOB))[-1].text == "No new prompts are taken right now. Please try again later."
    await set_policy(paused=False)
    await house.say("a green square")
    assert [row.prompt for row in await jobs()] == ["a red circle", "a green square"]


async def test_operators_may_send_prompts_while_the_intake_is_paused(house: House) -> None:
    await sync_to_async(make_operator)(ALICE)
    await set_policy(paused=True)
    await house.say("a red circle")
    await house.say("a blue square", BOB)
    assert [row.prompt for row in await jobs()] == ["a red circle"]


def test_who_paused_and_who_resumed_is_in_the_log_once() -> None:
    user = make_operator(ALICE, PAUSE)
    assert [operating.pause(by=user), operating.pause(by=user), Policy.current().paused] == [True, False, True]
    assert Policy.current().updated_by == user
    assert [operating.resume(by=user), operating.resume(by=user), Policy.current().paused] == [True, False, False]
    log = AuditEntry.objects.order_by("pk").values_list("actor", "action", "before", "after", "object_label")
    on, off = {"paused": True}, {"paused": False}
    assert list(log) == [(user.pk, "paused", off, on, "Policy"), (user.pk, "resumed", on, off, "Policy")]


async def test_whoever_deletes_everything_is_no_operator_any_more(house: House) -> None:
    await sync_to_async(make_operator)(ALICE, SEE)
    package = await sync_to_async(privacy.package)(ALICE)
    assert b'"user": "operator1001"' in package.content
    await sync_to_async(erasing.erase)(ALICE)
    assert await sync_to_async(OperatorAccount.objects.count)() == 0
