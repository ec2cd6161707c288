"""Row 36: the terms are accepted before the first prompt, which is not lost over it."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client

from generations.models import DEFAULT_GREETING, Policy, Requester
from telegram_bot import privacy
from telegram_bot.models import ReceivedUpdate
from tests.generations.admin.test_policy import FORM, values
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, Finish, House, jobs, set_policy
from tests.telegram_bot.pressing import labels, last, press, toasts

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

TERMS = "Be kind."
FIRST = "Be kind.\n\nPlease accept these terms. Your message is kept, and handled when you do."


async def prompts() -> list[str]:
    return [row.prompt for row in await jobs()]


async def test_a_prompt_waits_for_the_terms_and_is_made_when_they_are_accepted(house: House) -> None:
    await set_policy(terms=TERMS, terms_version=1)
    [question] = await house.say("a red circle")
    assert (question.text, labels(question)) == (FIRST, [["Accept"]])
    assert await prompts() == []
    [question] = await house.say("a blue square")
    assert (question.text, labels(question)) == (f"{FIRST}\n\n(This answers your last 2 messages.)", [["Accept"]])
    assert await press(house, question, "Accept") == "You have accepted the terms. Your messages are handled now."
    assert await prompts() == ["a red circle", "a blue square"]
    first, second = house.telegram.bot_messages(ALICE)[-2:]
    assert (first.text, second.text) == ("Queued, 1 of 2", "Queued, 2 of 2")
    # Each answers its own prompt.
    asked = [
        message.id for message in house.telegram.messages(ALICE) if message.text in {"a red circle", "a blue square"}
    ]
    assert [first.reply_to, second.reply_to] == asked
    await house.say("a green square")
    assert len(await prompts()) == 3


async def test_accepted_twice_a_prompt_is_made_once(house: House) -> None:
    await set_policy(terms=TERMS, terms_version=1)
    [question] = await house.say("a red circle")
    await press(house, question, "Accept", times=2)
    assert toasts(house.telegram) == [
        "You have accepted the terms. Your message is handled now.",
        "You have accepted the terms. Write what the video should show.",
    ]
    await sync_to_async(ReceivedUpdate.objects.exclude(form="").update)(decided_at=None, handled_at=None)
    await house.consumer.run_once()
    assert await prompts() == ["a red circle"]


async def test_other_terms_are_accepted_anew_and_old_buttons_do_not_do(house: House, render: Finish) -> None:
    await set_policy(terms=TERMS, terms_version=1)
    await house.say("a red circle")
    old = last(house)
    await set_policy(terms="Be very kind.", terms_version=2)
    assert await press(house, old, "Accept") == "The terms have changed since. Please accept the new ones."
    assert (last(house).text, labels(last(house))) == ("Be very kind.", [["Accept"]])
    assert await prompts() == []
    await press(house, last(house), "Accept")
    assert await prompts() == ["a red circle"]
    await render()
    await house.deliver()
    video = [message for message in house.telegram.bot_messages(ALICE) if message.kind == "video"][-1]
    await set_policy(terms="Be kinder.", terms_version=3)
    # Neither by a button; and what was pressed is done when they are accepted.
    assert await press(house, video, "Again") == "Please accept the terms first; /terms shows them."
    await press(house, last(house), "Accept")
    assert await prompts() == ["a red circle", "a red circle"]


async def test_terms_shows_them_to_everybody_and_a_button_to_whoever_has_not_accepted(house: House) -> None:
    assert (await house.say("/terms"))[-1].text == "This bot has no terms of its own."
    await set_policy(terms=TERMS, terms_version=1)
    for command in ("/terms", "/start terms"):
        shown = (await house.say(command))[-1]
        assert (shown.text, labels(shown)) == (TERMS, [["Accept"]])
    await press(house, shown, "Accept")
    shown = (await house.say("/terms"))[-1]
    assert (shown.text, labels(shown)) == (TERMS, [])
    # Greeting and help need no terms.
    assert (await house.say("/start", BOB))[-1].text.startswith(DEFAULT_GREETING)


async def test_in_a_group_a_word_names_the_private_chat_once(house: House) -> None:
    await set_policy(terms=TERMS, terms_version=1)
    for text in ("/video a red circle", "/video a blue square"):
        await house.say(text, GROUP, user_id=ALICE)
    [answer] = house.telegram.bot_messages(GROUP)
    assert answer.text == "There are terms to accept before I take prompts from you. Write to me in private."
    await press(house, (await house.say("/terms"))[-1], "Accept")
    await house.say("/video a green square", GROUP, user_id=ALICE)
    assert await prompts() == ["a green square"]


async def test_what_was_accepted_and_when_is_part_of_the_export(house: House) -> None:
    await set_policy(terms=TERMS, terms_version=4)
    await press(house, (await house.say("/terms"))[-1], "Accept")
    person = await sync_to_async(Requester.objects.get)()
    assert person.terms_accepted_at is not None
    document = (await sync_to_async(privacy.package)(ALICE)).content.decode()
    assert '"terms_accepted_version": 4' in document
    assert person.terms_accepted_at.isoformat() in document


def test_the_version_changes_with_the_words_and_only_with_them() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    versions = []
    for terms in ("", "Be kind.\r\nAlways.", "Be kind.\nAlways.", "Be kind.", ""):
        client.post(FORM, values(terms=terms))
        policy = Policy.current()
        versions.append((policy.terms, policy.terms_version))
    assert versions == [("", 0), ("Be kind.\nAlways.", 1), ("Be kind.\nAlways.", 1), ("Be kind.", 2), ("", 3)]
    assert "at most 3500 characters" in client.post(FORM, values(terms="x" * 3501)).content.decode()
    assert "text that can be seen" in client.post(FORM, values(terms="\u200b")).content.decode()
