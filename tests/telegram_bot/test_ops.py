"""/ops: where the installation stands, with pause and resume. To whoever is no operator there is no such command."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.utils import timezone
from redis import Redis

from generations import attendance, overview, rendering
from generations.models import AuditEntry, Policy, Status
from generations.worker import GenerationWorker
from telegram_bot import texts
from telegram_bot.models import OperatorAccount, ReceivedUpdate
from telegram_bot.operators import SEE
from telegram_bot.simulator import Message
from tests.generations.conftest import MakeRow, make_row
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House, change, jobs, set_policy
from tests.telegram_bot.pressing import labels, last, press
from tests.telegram_bot.test_operators import PAUSE, make_operator

__all__ = ["make_row"]

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

UNKNOWN = "This button no longer does anything."
operator = sync_to_async(make_operator)
permit = sync_to_async(lambda user, *names: user.user_permissions.set(Permission.objects.filter(codename__in=names)))


@pytest.fixture(autouse=True)
def _no_queue_server(settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


@sync_to_async
def policy() -> Policy:
    return Policy.current()


def undecide_last() -> None:
    newest = ReceivedUpdate.objects.latest("update_id")
    ReceivedUpdate.objects.filter(pk=newest.pk).update(decided_at=None, answered_at=None, handled_at=None)


async def panel(house: House, chat_id: int = ALICE, user_id: int = ALICE) -> Message:
    await house.say("/ops", chat_id, user_id=user_id)
    return last(house, chat_id)


async def test_an_operator_sees_where_everything_stands(house: House) -> None:
    await operator(ALICE, SEE)
    for number in range(4):
        await house.say(f"prompt {number}", BOB)
    first, held, failed, _ = await jobs()
    running = {"status": Status.RUNNING, "owner": "gpu1.123.abcd", "progress": 40}
    await change(first, **running, lease_until=timezone.now() + timedelta(seconds=50))
    await change(held, status=Status.PENDING_REVIEW)
    await change(failed, status=Status.FAILED, finished_at=timezone.now() - timedelta(minutes=59))
    message = await panel(house)
    assert re.fullmatch(
        "New prompts are taken.\n"
        "Waiting: 1\n"
        "Being rendered: 1\n"
        "Held for review: 1\n"
        "In the last hour: 0 made, 1 failed\n"
        r"Free on the disk: [\d.]+ [GM]B"
        "\n\n"
        "Workers: 1\n"
        f"• gpu1.123: #{first.pk} 40 %\n"
        "The queue server does not answer, so idle ones are not seen.\n\n"
        r"As of \d\d:\d\d:\d\d \(UTC\)",
        message.text,
    )
    assert labels(message) == [["Refresh"]]


async def test_refresh_shows_how_it_stands_now_in_the_same_message(house: House) -> None:
    await operator(ALICE, SEE)
    message = await panel(house)
    assert "Waiting: 0" in message.text
    await house.say("a red circle", BOB)
    await press(house, message, "Refresh")
    [edited] = house.telegram.bot_messages(ALICE)
    assert (edited.id, labels(edited)) == (message.id, [["Refresh"]])
    assert "Waiting: 1" in edited.text


@pytest.mark.parametrize("chat_id", [ALICE, GROUP])
async def test_to_a_stranger_it_is_a_command_that_does_not_exist(house: House, chat_id: int) -> None:
    await operator(BOB, SEE, PAUSE)
    await set_policy(operators_chat_id=GROUP)
    unknown = [message.text for message in await house.say("/strat", chat_id, user_id=ALICE)]
    answers = [message.text for message in await house.say("/ops", chat_id, user_id=ALICE)]
    assert answers == unknown * 2
    assert (len(unknown), "ops" in texts.COMMANDS) == (1 if chat_id == ALICE else 0, False)


@pytest.mark.parametrize("button", ["ops", "ops_pause", "ops_resume"])
async def test_a_stranger_does_nothing_with_an_operators_button(house: House, button: str) -> None:
    await operator(BOB, SEE, PAUSE)
    await set_policy(operators_chat_id=GROUP)
    message = await panel(house, GROUP, BOB)
    if button == "ops_resume":
        await set_policy(paused=True)
        await press(house, message, "Refresh", chat_id=GROUP, user_id=BOB)
    shown = last(house, GROUP).text
    assert await press(house, message, button, chat_id=GROUP, user_id=ALICE) == UNKNOWN
    assert (await policy()).paused == (button == "ops_resume")
    assert last(house, GROUP).text == shown


async def test_pause_and_resume_bind_the_next_prompt_and_say_who_it_was(house: House) -> None:
    user = await operator(ALICE, SEE, PAUSE)
    message = await panel(house)
    assert labels(message) == [["Refresh", "Pause the intake"]]
    assert await press(house, message, "Pause the intake", times=2) == "It was paused already."
    paused = last(house)
    assert paused.text.startswith("The intake is paused: no new prompts are taken.\n")
    assert labels(paused) == [["Refresh", "Take prompts again"]]
    assert (await house.say("a red circle", BOB))[-1].text.startswith("No new prompts are taken right now.")

    assert await press(house, paused, "Take prompts again") == "New prompts are taken again."
    await house.say("a red circle", BOB)
    assert len(await jobs()) == 1
    log = await sync_to_async(list)(AuditEntry.objects.order_by("pk").values_list("actor", "via", "action"))
    assert log == [(user.pk, "telegram", "paused"), (user.pk, "telegram", "resumed")]


async def test_whoever_lost_the_permission_a_second_ago_cannot_press(house: House) -> None:
    user = await operator(ALICE, SEE, PAUSE)
    message = await panel(house)
    await permit(user, "view_generation")
    assert await press(house, message, "Pause the intake") == "Your account may not do that."
    await permit(user)
    assert await press(house, message, "Pause the intake") == UNKNOWN
    await permit(user, "view_generation", "change_policy")
    await sync_to_async(User.objects.update)(is_active=False)
    assert await press(house, message, "Pause the intake") == UNKNOWN
    await sync_to_async(OperatorAccount.objects.all().delete)()
    assert await press(house, message, "Refresh") == UNKNOWN
    assert not (await policy()).paused
    assert last(house).text == message.text


async def test_nothing_is_told_in_a_group_that_is_not_the_operators(house: House) -> None:
    await operator(ALICE, SEE, PAUSE)
    assert await house.say("/ops", GROUP, user_id=ALICE) == []
    await set_policy(operators_chat_id=GROUP)
    message = await panel(house, GROUP)
    await set_policy(operators_chat_id=-2002)
    assert await press(house, message, "Pause the intake", chat_id=GROUP) == UNKNOWN
    assert not (await policy()).paused


async def test_a_press_that_is_handled_twice_pauses_once(house: House) -> None:
    await operator(ALICE, SEE, PAUSE)
    message = await panel(house)
    await press(house, message, "Pause the intake")
    # The bot died between doing it and noting that it is done.
    await sync_to_async(undecide_last)()
    house.restart()
    await house.consumer.run_once()
    assert (await policy()).paused
    assert labels(last(house)) == [["Refresh", "Take prompts again"]]
    assert await sync_to_async(AuditEntry.objects.count)() == 1


def test_idle_workers_and_those_at_work_are_known_by_host_and_process(
    own_queue_server: Redis, make_row: MakeRow
) -> None:
    process = attendance.process_of(rendering.OWNER)
    for name in (f"{process}.0123abcd", "~other.7.0123abcd", "gone.7.0123abcd"):
        GenerationWorker(["gpu"], name=name, connection=own_queue_server).register_birth()
    own_queue_server.delete("rq:worker:gone.7.0123abcd")
    lease = {"status": Status.RUNNING, "owner": rendering.OWNER, "lease_until": timezone.now() + timedelta(seconds=50)}
    rows = [make_row(progress=progress, **lease) for progress in (40, 10)]
    words = texts.ops(overview.now(), [])
    assert f"Workers: 2\n• {process}: #{rows[0].pk} 40 %, #{rows[1].pk} 10 %\n• ~other.7: idle\n\nAs of" in words
