"""Rows 45 and 46: a stranger is told how to be let in, by a link or by an operator's word, and one decides it once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from generations import erasing
from generations.models import DEFAULT_GREETING, Policy, Requester
from generations.services import Person
from telegram_bot import access_requests, invitations, privacy, texts
from telegram_bot.models import AccessRequest, Bulletin, Invitation, InvitationUse, PollingLease, ReceivedUpdate
from telegram_bot.simulator import Message
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, Finish, House, base, jobs, set_policy
from tests.telegram_bot.pressing import labels, last, press, toasts
from tests.telegram_bot.test_operators import make_operator

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

OLGA, PAUL = 1003, 1004
IN_GROUP = "I take prompts only from people who have access. Write to me in private: https://t.me/simulator_bot"
ASKED = "The operators have been asked to let you in. You will read here what they decide."
REQUEST = "Somebody asks for access.\nName: Alice\nUser name: –\nNumber: 1001"


@sync_to_async
def invite(**values: Any) -> Invitation:
    return Invitation.objects.create(**values)


@sync_to_async
def left(invitation: Invitation) -> int | None:
    return Invitation.objects.get(pk=invitation.pk).uses_left


@sync_to_async
def bot_has_run() -> None:
    PollingLease.objects.create(bot_id="1", owner="", lease_until=timezone.now(), username="simulator_bot")


async def operators(house: House, *telegram_ids: int) -> None:
    """Each has written to the bot, which may answer them since."""
    for telegram_id in telegram_ids:
        house.telegram.add_user(telegram_id, f"Operator {telegram_id}")
        house.telegram.add_chat(telegram_id)
        await sync_to_async(make_operator)(telegram_id, access_requests.DECIDE)


async def asks(house: House) -> Message:
    """Alice asks for access, and the operators are told; her own message."""
    question = (await house.say("a red circle"))[-1]
    await press(house, question, "Request access")
    await house.notify()
    return last(house)


# --- who was there before


async def test_whoever_was_there_before_the_door_was_closed_keeps_access(house: House, render: Finish) -> None:
    await house.say("a red circle")
    await set_policy(access="invite")
    await house.say("a blue square")
    await house.say("a green square", BOB)
    assert [row.prompt for row in await jobs()] == ["a red circle", "a blue square"]
    await set_policy(access="open")
    await house.say("a green square", BOB)
    await set_policy(access="ask")
    await house.say("a yellow square", BOB)
    assert [row.prompt for row in await jobs()][2:] == ["a green square", "a yellow square"]


async def test_operators_need_no_invitation(house: House) -> None:
    await set_policy(access="invite")
    await operators(house, ALICE)
    await house.say("a red circle")
    assert [row.prompt for row in await jobs()] == ["a red circle"]


async def test_a_stranger_may_read_and_take_and_delete_what_is_kept_of_them(house: House) -> None:
    await set_policy(access="invite")
    for command in ("/help", "/privacy", "/terms", "/export_me", "/delete_me", "/settings"):
        answer = (await house.say(command))[-1]
        assert answer.text != texts.invitation_needed()
    assert len(house.telegram.bot_messages(ALICE)) == 6


async def test_nothing_that_makes_a_video_works_once_access_is_withdrawn(house: House, render: Finish) -> None:
    await house.say("a red circle")
    await render()
    await house.deliver()
    shown = last(house)
    await set_policy(access="invite")
    await withdraw(ALICE)
    for button in ("Again", "Same seed"):
        assert await press(house, shown, button) == "I take prompts only from people who have access."
        assert last(house).text == texts.invitation_needed()
    assert (await house.say("/again"))[-1].text == texts.invitation_needed()
    reworded = (await house.say("in other words", reply_to=shown.id))[-1]
    assert reworded.text == texts.for_several(texts.invitation_needed(), 2)
    guide = (await house.say("/help"))[-1]
    await press(house, guide, labels(guide)[0][0])
    assert last(house).text == texts.invitation_needed()
    assert len(await jobs()) == 1
    # What is there stays there.
    assert await press(house, shown, "As file") == "The file is on its way."


async def test_a_stranger_in_a_group_gets_one_short_answer_a_day(house: House) -> None:
    await bot_has_run()
    await set_policy(access="ask")
    for text in ("/video a red circle", "/video a blue square"):
        await house.say(text, GROUP, user_id=ALICE)
    [answer] = house.telegram.bot_messages(GROUP)
    assert (answer.text, answer.buttons) == (IN_GROUP, [])
    await house.say("/video a green square", GROUP, user_id=BOB)
    assert len(house.telegram.bot_messages(GROUP)) == 2
    await sync_to_async(Requester.objects.update)(told_why_at=timezone.now() - timedelta(hours=25))
    assert len(await house.say("/video a red circle", GROUP, user_id=ALICE)) == 3


# --- invitations


async def test_a_link_lets_a_stranger_in_once(house: House) -> None:
    await set_policy(access="invite")
    invitation = await invite()
    assert (await house.say("a red circle"))[-1].text == texts.invitation_needed()
    greeting = (await house.say("/start"))[-1].text
    assert greeting == f"{DEFAULT_GREETING}\n\n{texts.invitation_needed()}"
    welcome = (await house.say(f"/start {invitation.code}"))[-1].text
    assert welcome.startswith(f"Welcome! Your invitation is accepted.\n\n{DEFAULT_GREETING}\n")
    await house.say("a red circle")
    assert [row.prompt for row in await jobs()] == ["a red circle"]
    assert await left(invitation) == 0
    refused = (await house.say(f"/start {invitation.code}", BOB))[-1].text
    assert refused == "This invitation has been used up. Please ask for another one."


async def test_a_link_that_lets_in_nobody_says_why(house: House) -> None:
    await set_policy(access="ask")
    long_ago = timezone.now() - timedelta(seconds=1)
    revoked, expired = await invite(revoked_at=long_ago), await invite(expires_at=long_ago, uses_left=None)
    words = {
        "no_such-code": "I do not know this invitation. Is the link complete?",
        revoked.code: "This invitation does not count any more. Please ask for another one.",
        expired.code: "This invitation has expired. Please ask for another one.",
    }
    for code, why in words.items():
        answer = (await house.say(f"/start {code}"))[-1]
        assert (answer.text, labels(answer)) == (why, [["Request access"]])
    assert not await sync_to_async(Requester.objects.exclude(admitted_at=None).exists)()


async def test_the_button_of_an_empty_inline_list_is_not_taken_for_an_invitation(house: House) -> None:
    await set_policy(access="ask")
    assert (await house.say("/start inline"))[-1].text == (await house.say("/start"))[-1].text


async def test_a_start_that_is_handled_twice_costs_one_use(house: House) -> None:
    await set_policy(access="invite")
    invitation = await invite(uses_left=2)
    await house.say(f"/start {invitation.code}")
    # As after a crash before the answer was noted.
    await sync_to_async(ReceivedUpdate.objects.update)(decided_at=None, handled_at=None, answered_at=None)
    await house.consumer.run_once()
    first, second = (message.text for message in house.telegram.bot_messages(ALICE))
    assert first == second
    assert await left(invitation) == 1


async def test_whoever_has_access_spends_no_invitation(house: House) -> None:
    await house.say("a red circle")
    invitation = await invite()
    await set_policy(access="invite")
    assert (await house.say(f"/start {invitation.code}"))[-1].text.startswith(DEFAULT_GREETING)
    assert await left(invitation) == 1


async def test_whoever_was_put_out_does_not_come_in_again_by_the_same_link(house: House) -> None:
    await set_policy(access="invite")
    invitation = await invite(uses_left=None)
    await house.say(f"/start {invitation.code}")
    await withdraw(ALICE)
    assert (await house.say(f"/start {invitation.code}"))[-1].text.startswith("This invitation has been used up.")
    assert (await house.say("a red circle"))[-1].text == texts.invitation_needed()


@sync_to_async
def withdraw(user_id: int) -> None:
    assert Requester.objects.get(user_id=user_id).withdraw_access()


async def test_a_ban_is_stronger_than_an_invitation(house: House) -> None:
    await set_policy(access="invite")
    invitation = await invite()
    await sync_to_async(Requester.objects.create)(user_id=ALICE, banned_at=timezone.now(), ban_reason="Spam.")
    assert (await house.say(f"/start {invitation.code}"))[-1].text == "You may not use this bot."
    assert await left(invitation) == 1


def test_twenty_starts_at_once_of_a_link_for_one_let_in_one() -> None:
    Policy.current()
    Policy.objects.update(access="invite")
    invitation = Invitation.objects.create()
    together = threading.Barrier(20)
    outcomes: list[str] = []

    def start(number: int) -> None:
        try:
            together.wait()
            outcomes.append(str(invitations.redeem(Person(user_id=number), invitation.code)))
        except invitations.Unusable as error:
            outcomes.append(error.why)
        finally:
            connection.close()

    threads = [threading.Thread(target=start, args=(number,)) for number in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["True"] + ["used up"] * 19
    assert Requester.objects.exclude(admitted_at=None).count() == InvitationUse.objects.count() == 1


# --- requests


async def test_a_stranger_asks_and_every_operator_reads_who_it_is(house: House) -> None:
    await set_policy(access="ask")
    await operators(house, OLGA, PAUL)
    question = (await house.say("a red circle"))[-1]
    assert (question.text, labels(question)) == (texts.access_needed(), [["Request access"]])
    assert await press(house, question, "Request access") == ASKED
    await house.notify()
    assert (last(house).text, last(house).buttons) == (ASKED, [])
    for operator in (OLGA, PAUL):
        [told] = house.telegram.bot_messages(operator)
        assert (told.text, labels(told)) == (REQUEST, [["Approve", "Deny"]])


async def test_asked_twice_there_is_one_request(house: House) -> None:
    await set_policy(access="ask")
    await operators(house, OLGA)
    question = (await house.say("a red circle"))[-1]
    await press(house, question, "Request access", times=2)
    await house.notify()
    assert await sync_to_async(AccessRequest.objects.count)() == 1
    assert (await house.say("a red circle"))[-1].text == ASKED
    assert len(house.telegram.bot_messages(OLGA)) == 1


async def test_a_name_that_no_database_takes_does_not_keep_anybody_from_asking(house: House) -> None:
    await set_policy(access="ask")
    await operators(house, OLGA)
    question = (await house.say("a red circle"))[-1]
    hostile = {"id": ALICE, "is_bot": False, "first_name": "Al\ud83d\0i\nNumber: 7"}
    message = {"message_id": question.id, "date": 1764000000, "chat": {"id": ALICE, "type": "private"}}
    query = {"id": "7", "from": hostile, "chat_instance": "1", "message": message, "data": "ask_access"}
    await house.inject({"update_id": 10**6, "callback_query": query})
    await house.notify()
    assert last(house, OLGA).text.splitlines()[1:] == ["Name: Ali Number: 7", "User name: –", "Number: 1001"]


async def test_one_operator_decides_and_the_other_reads_who_did(house: House) -> None:
    await set_policy(access="ask")
    await operators(house, OLGA, PAUL)
    await asks(house)
    assert await press(house, last(house, OLGA), "Approve", chat_id=OLGA, user_id=OLGA) == "Approved by operator1003."
    # Paul has not seen the change yet.
    assert await press(house, last(house, PAUL), "Deny", chat_id=PAUL, user_id=PAUL) == "Approved by operator1003."
    await house.notify()
    for operator in (OLGA, PAUL):
        [told] = house.telegram.bot_messages(operator)
        assert (told.text, told.buttons) == (f"{REQUEST}\n\nApproved by operator1003.", [])
    assert last(house).text == "You have access. Write what the video should show."
    await house.say("a red circle")
    assert [row.prompt for row in await jobs()] == ["a red circle"]


def test_of_ten_operators_at_once_one_decides_and_the_person_hears_one_outcome() -> None:
    person = Requester.objects.create(user_id=ALICE)
    request = AccessRequest.objects.create(requester=person)
    users = [User.objects.create(username=f"operator{number}") for number in range(10)]
    together = threading.Barrier(10)
    first: list[tuple[str, str]] = []

    def decide(number: int) -> None:
        try:
            together.wait()
            row, won = access_requests.decide(request.pk, granted=number % 2 == 0, by=users[number])
            if won:
                first.append((users[number].username, row.state))
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    request.refresh_from_db()
    person.refresh_from_db()
    assert first == [(str(request.decided_by), request.state)]
    assert (person.admitted_at is not None) is (request.state == "granted")
    assert [bulletin.chat_id for bulletin in Bulletin.objects.all()] == [ALICE]


async def test_whoever_is_denied_reads_it_once_and_may_ask_again_after_a_week(house: House) -> None:
    await set_policy(access="ask")
    await operators(house, OLGA)
    await asks(house)
    await press(house, last(house, OLGA), "Deny", chat_id=OLGA, user_id=OLGA)
    await house.notify()
    assert last(house).text.startswith("The operators have not given you access. You may ask again from ")
    before = len(house.telegram.bot_messages(ALICE))
    answer = (await house.say("a red circle"))[-1]
    assert answer.text.startswith("The operators have not given you access.")
    assert (answer.buttons, len(house.telegram.bot_messages(ALICE))) == ([], before + 1)
    await sync_to_async(AccessRequest.objects.update)(decided_at=timezone.now() - access_requests.ASK_AGAIN)
    assert labels((await house.say("a red circle"))[-1]) == [["Request access"]]
    await press(house, last(house), "Request access")
    assert await states() == ["open", "denied"]


async def test_the_buttons_work_for_nobody_but_operators(house: House) -> None:
    await set_policy(access="ask", operators_chat_id=GROUP)
    await sync_to_async(make_operator)(OLGA, access_requests.DECIDE)
    await asks(house)
    told = last(house, GROUP)
    for person in (ALICE, BOB):
        toast = await press(house, told, "Approve", chat_id=GROUP, user_id=person)
        assert toast == "Only operators who may decide this can."
    await house.inject(
        {
            "update_id": 10**6,
            "callback_query": {
                "id": "7",
                "from": {"id": OLGA, "is_bot": False, "first_name": "Olga"},
                "chat_instance": "1",
                "message": base()["message"],
                "data": "admit:999",
            },
        }
    )
    assert toasts(house.telegram)[-1] == "That does not exist any more."
    assert await states() == ["open"]


async def test_a_request_is_decided_on_the_admins_page_and_read_in_the_chat(house: House) -> None:
    await set_policy(access="ask")
    await operators(house, OLGA)
    await asks(house)

    def decide() -> str:
        client = Client()
        client.force_login(User.objects.create_superuser("boss"))
        address = "/admin/telegram_bot/accessrequest/"
        page = client.get(address).content.decode()
        assert "Alice" in page
        [pk] = AccessRequest.objects.values_list("pk", flat=True)
        for action in ("approve_selected", "deny_selected"):
            page = client.post(address, {"action": action, "_selected_action": [pk]}, follow=True).content.decode()
        return page

    assert "was decided by boss already" in await sync_to_async(decide)()
    await house.notify()
    assert last(house).text == "You have access. Write what the video should show."
    assert last(house, OLGA).text == f"{REQUEST}\n\nApproved by boss."


async def test_whoever_comes_by_a_link_meanwhile_need_not_be_decided(house: House) -> None:
    await set_policy(access="ask")
    await operators(house, OLGA)
    await asks(house)
    invitation = await invite()
    await house.say(f"/start {invitation.code}")
    await house.notify()
    [told] = house.telegram.bot_messages(OLGA)
    assert (told.text, told.buttons) == (f"{REQUEST}\n\nHas access by an invitation.", [])
    assert await states() == ["granted"]


async def test_nothing_is_left_of_a_request_when_everything_is_deleted(house: House) -> None:
    await set_policy(access="ask")
    await operators(house, OLGA)
    await asks(house)
    document = (await sync_to_async(privacy.package)(ALICE)).content.decode()
    assert '"state": "open"' in document
    assert "Somebody asks for access." in document
    await sync_to_async(erasing.erase)(ALICE)
    await house.notify()
    [told] = house.telegram.bot_messages(OLGA)
    assert (told.text, told.buttons) == (texts.bulletin_withdrawn(), [])
    assert await states() == []
    assert not await sync_to_async(Bulletin.objects.filter(text__contains="Alice").exists)()


@sync_to_async
def states() -> list[str]:
    return list(AccessRequest.objects.values_list("state", flat=True))


# --- the admin's pages


def test_an_invitation_is_made_listed_with_its_link_and_revoked() -> None:
    olga = User.objects.create_superuser("olga")
    client = Client()
    client.force_login(olga)
    pages = "/admin/telegram_bot/invitation/"
    client.post(f"{pages}add/", {"note": "For Petra", "uses_left": "3", "expires_at_0": "", "expires_at_1": ""})
    invitation = Invitation.objects.get()
    assert (invitation.note, invitation.uses_left, invitation.created_by) == ("For Petra", 3, olga)
    assert len(invitation.code) == 16
    assert "the link is known when the bot has run" in client.get(pages).content.decode()
    PollingLease.objects.create(bot_id="1", owner="", lease_until=timezone.now(), username="simulator_bot")
    assert f"https://t.me/simulator_bot?start={invitation.code}" in client.get(pages).content.decode()
    client.post(pages, {"action": "revoke_selected", "_selected_action": [invitation.pk]})
    invitation.refresh_from_db()
    assert invitation.revoked_at is not None
    assert "Revoked" in client.get(pages).content.decode()


def test_access_is_given_and_withdrawn_on_the_list_of_people() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    person = Requester.objects.create(user_id=ALICE, display_name="Alice")
    pages = "/admin/generations/requester/"
    for action, admitted in (("let_in_selected", True), ("put_out_selected", False)):
        client.post(pages, {"action": action, "_selected_action": [person.pk]})
        person.refresh_from_db()
        assert (person.admitted_at is not None) is admitted
