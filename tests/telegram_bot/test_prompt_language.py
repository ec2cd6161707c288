"""Row 26: a prompt that the model will hardly understand is asked about first, translated where somebody can."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.utils import timezone

from generations import asked, limits, services
from generations.models import AskedPrompt, Generation, Status
from telegram_bot import texts, translator
from telegram_bot.simulator import Message
from tests import translators

from .conftest import ALICE, BOB, GROUP, Finish, House, base, jobs, set_policy
from .pressing import labels, last, press, toasts, video

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

RUSSIAN = "красный круг"
NOTE = (
    "The model understands English only, and this is in another script: the video would hardly show what you mean. "
    "Nothing is queued yet. You can send it in English instead, or have the video made anyway."
)
TRANSLATED = (
    "The model understands English only. In English, your prompt would be:\n\na red circle\n\n"
    "Nothing is queued yet. Shall the video be made of that?"
)


@sync_to_async
def waiting() -> list[AskedPrompt]:
    return list(AskedPrompt.objects.order_by("pk"))


async def question(house: House, text: str = RUSSIAN, **more: Any) -> Message:
    message = (await house.say(text, **more))[-1]
    assert message.text == NOTE
    return message


@pytest.fixture
def translation(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Choose the operator's translator."""
    translators.asked.clear()
    translators.release.clear()
    monkeypatch.setattr(translator, "_resting_until", 0.0)
    monkeypatch.setattr(translator, "PATIENCE", 5.0)

    def choose(name: str) -> None:
        settings.TRANSLATOR = f"tests.translators.{name}"

    yield choose
    translators.release.set()


# --- asked first


async def test_a_prompt_in_another_script_is_asked_about_and_nothing_is_queued(house: House) -> None:
    note = await question(house, f"{RUSSIAN} --seed 7 --no text watermark and more Latin words")
    assert labels(note) == [["Make it anyway", "Cancel"]]
    assert note.reply_to is not None
    assert await jobs() == []


async def test_latin_letters_are_never_asked_about(house: House) -> None:
    for text in ("a red circle", 'a street sign that says "красный круг"', "café", "un chat rouge"):
        house.telegram.say(ALICE, text)
    await house.receive()
    assert [message.text for message in house.telegram.bot_messages(ALICE)] == [
        f"Queued, {number} of 4" for number in range(1, 5)
    ]


async def test_made_anyway_the_question_becomes_the_status_and_then_the_video(house: House, render: Finish) -> None:
    note = await question(house, f"{RUSSIAN} --seed 7")
    assert await press(house, note, "Make it anyway") == "It is in the queue."
    [row] = await jobs()
    assert (row.prompt, row.seed, row.translated_prompt, row.status) == (RUSSIAN, 7, "", Status.QUEUED)
    [status] = house.telegram.bot_messages(ALICE)
    assert (status.id, status.text, labels(status)) == (note.id, "Queued, 1 of 1", [["Cancel"]])
    await render()
    await house.deliver()
    [shown] = house.telegram.bot_messages(ALICE)
    assert (shown.id, shown.kind) == (note.id, "video")
    assert shown.text.startswith(RUSSIAN)


async def test_pressed_twice_it_is_queued_once(house: House) -> None:
    note = await question(house)
    assert await press(house, note, "Make it anyway", times=3) == "It is in the queue."
    assert len(await jobs()) == 1
    assert len(house.telegram.bot_messages(ALICE)) == 1
    assert await waiting() == []


async def test_cancelled_it_is_forgotten(house: House) -> None:
    note = await question(house)
    await press(house, note, "Cancel")
    [answer] = house.telegram.bot_messages(ALICE)
    assert (answer.text, answer.buttons) == ("Nothing was made of it.", [])
    assert (await waiting(), await jobs()) == ([], [])


async def test_a_press_that_is_handled_again_after_a_crash_is_answered_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database fails in the middle: what the press does and what it is answered are noted together."""
    note = await question(house)
    failures = [RuntimeError("down")]
    drop = asked.drop

    def drop_and_fail(*arguments: Any) -> None:
        drop(*arguments)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(asked, "drop", drop_and_fail)
    await press(house, note, "Cancel")
    assert failures == []
    assert last(house).text == "Nothing was made of it."
    assert await waiting() == []


async def test_the_buttons_work_after_a_restart_and_for_nobody_else(house: House) -> None:
    note = await question(house, f"/video {RUSSIAN}", chat_id=GROUP, user_id=ALICE)
    house.restart()
    for button in ("Make it anyway", "Cancel"):
        assert await press(house, note, button, chat_id=GROUP, user_id=BOB) == texts.not_yours()
    assert await jobs() == []
    await press(house, note, "Make it anyway", chat_id=GROUP, user_id=ALICE)
    [row] = await jobs()
    assert (row.requester.user_id, row.chat_id, row.prompt) == (ALICE, GROUP, RUSSIAN)


async def test_the_question_stands_in_its_topic(house: House) -> None:
    house.telegram.add_chat(-3001, "supergroup", "Forum", is_forum=True)
    topic = house.telegram.add_topic(-3001, "Videos")
    note = await question(house, f"/video {RUSSIAN}", chat_id=-3001, user_id=ALICE, thread_id=topic)
    assert note.data["message_thread_id"] == topic
    await press(house, note, "Make it anyway", chat_id=-3001)
    assert (await jobs())[0].thread_id == topic
    await set_policy(groups_enabled=False)
    await house.say("/video a cat", -3001, user_id=ALICE, thread_id=topic)
    off = last(house, -3001)
    assert (off.text, off.data["message_thread_id"]) == (texts.group_off(), topic)


async def test_an_administrator_answers_for_a_group_that_wrote_under_its_own_name(house: House) -> None:
    house.telegram.promote(GROUP, BOB)
    group = {"id": GROUP, "type": "supergroup", "title": "Friends"}
    anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
    await house.inject(base(text=f"/video {RUSSIAN}", chat=group, sender_chat=group, **{"from": anonymous}))
    await press(house, last(house, GROUP), "Make it anyway", chat_id=GROUP, user_id=BOB)
    assert (await jobs())[0].requester.user_id == GROUP


async def test_other_words_for_a_video_keep_its_settings_when_they_are_asked_about(
    house: House, render: Finish
) -> None:
    first = await video(house, render, "a red circle --steps 21 --seed 7")
    shown = last(house).id
    await press(house, await question(house, "синий круг", reply_to=shown), "Make it anyway")
    second = (await jobs())[-1]
    assert second.spec() == replace(first.spec(), prompt="синий круг")
    assert second.parent_id == first.pk
    note = await question(house, "круг", reply_to=shown)
    await sync_to_async(Generation.objects.filter(pk=first.pk).delete)()
    await press(house, note, "Make it anyway")
    third = (await jobs())[-1]
    assert (third.prompt, third.steps, third.seed, third.parent_id) == ("круг", 21, 7, None)


async def test_several_results_are_made_of_it_when_several_were_asked_for(house: House) -> None:
    await press(house, await question(house, f"{RUSSIAN} x2"), "Make it anyway")
    assert [row.prompt for row in await jobs()] == [RUSSIAN, RUSSIAN]


# --- when not


async def test_no_question_where_operators_want_none_or_the_model_knows_more_languages(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_policy(language_note=False)
    assert (await house.say(RUSSIAN))[-1].text == "Queued, 1 of 1"
    await set_policy(language_note=True)
    await question(house)
    card = replace(services.model_card(), languages=("en", "ru"))
    monkeypatch.setattr(services, "model_card", lambda: card)
    assert (await house.say(RUSSIAN))[-1].text == "Queued, 2 of 2"


async def test_what_would_be_refused_is_refused_at_once(house: House) -> None:
    assert (await house.say(f"{RUSSIAN} --steps many"))[-1].text.startswith("--steps must be a whole number")
    await set_policy(waiting_limit=1)
    await house.say("a red circle")
    assert (await house.say(RUSSIAN))[-1].text.startswith("You have 1 unfinished video, ")
    assert await waiting() == []


async def test_a_limit_that_is_reached_meanwhile_leaves_the_question_to_be_answered_later(house: House) -> None:
    await set_policy(waiting_limit=1)
    note = await question(house)
    await house.say("a red circle")
    assert (await press(house, note, "Make it anyway")).startswith("You have 1 unfinished video, ")
    await set_policy(waiting_limit=2)
    await press(house, note, "Make it anyway")
    assert [row.prompt for row in await jobs()] == ["a red circle", RUSSIAN]


async def test_a_flood_of_such_prompts_is_not_asked_about_one_by_one(house: House) -> None:
    for number in range(limits.MOST_ASKED + 3):
        house.telegram.say(ALICE, f"{RUSSIAN} {number}")
    await house.receive()
    messages = house.telegram.bot_messages(ALICE)
    assert [message.text for message in messages[:-1]] == [NOTE] * limits.MOST_ASKED
    assert messages[-1].text == (
        "5 prompts of yours wait for your word. Press one of the buttons under my questions first.\n\n"
        "(This answers your last 3 messages.)"
    )


# --- what is kept


async def test_what_waits_is_exported_erased_and_forgotten_after_a_month(house: House) -> None:
    await question(house)
    await house.say("/export_me")
    document = house.telegram.file(last(house).data["document"]["file_id"]).decode()
    assert '"asked_prompts": [\n  {\n   "prompt": "красный круг"' in document
    assert await sync_to_async(asked.forget_old)() == 0
    month_ago = timezone.now() - asked.KEEP - timedelta(seconds=1)
    await sync_to_async(AskedPrompt.objects.update)(created_at=month_ago)
    assert await sync_to_async(asked.forget_old)() == 1
    note = await question(house)
    await press(house, (await house.say("/delete_me"))[-1], "Delete everything")
    assert await waiting() == []
    assert await press(house, note, "Make it anyway") == texts.gone()
    assert await jobs() == []


# --- the operator's translator


async def test_a_translation_is_offered_and_kept_beside_what_was_typed(
    house: House, render: Finish, translation: Any
) -> None:
    translation("good")
    # One that the bot itself does not speak.
    house.telegram.add_user(ALICE, "Alice", language_code="uk")
    note = (await house.say(f"{RUSSIAN} --seed 7"))[-1]
    assert (note.text, labels(note)) == (TRANSLATED, [["Make that"], ["As I typed it", "Cancel"]])
    assert translators.asked == [(RUSSIAN, "uk")]
    await press(house, note, "Make that")
    [row] = await jobs()
    assert (row.prompt, row.translated_prompt, row.spec().prompt) == (RUSSIAN, "a red circle", "a red circle")
    await render()
    await house.deliver()
    shown = last(house)
    assert shown.text.startswith(f"{RUSSIAN}\n\nSeed 7")
    assert "\nThe model read: a red circle" in shown.text
    # Once more means the same words for the model.
    await press(house, shown, "Same seed")
    again = (await jobs())[-1]
    assert (again.prompt, again.translated_prompt, again.parent_id) == (RUSSIAN, "a red circle", row.pk)
    assert len(translators.asked) == 1


async def test_a_translation_may_be_refused(house: House, translation: Any) -> None:
    translation("good")
    note = (await house.say(RUSSIAN))[-1]
    await press(house, note, "As I typed it")
    [row] = await jobs()
    assert (row.prompt, row.translated_prompt) == (RUSSIAN, "")


async def test_a_translator_that_is_no_help_leaves_the_plain_question(house: House, translation: Any) -> None:
    for name in ("broken", "silent", "none", "parrot", "not_there"):
        translation(name)
        note = await question(house)
        assert labels(note) == [["Make it anyway", "Cancel"]]


async def test_a_slow_translator_holds_up_one_answer_and_then_none(
    house: House, translation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator, "PATIENCE", 0.3)
    translation("slow")
    house.telegram.say(ALICE, RUSSIAN)
    await house.fetch()
    await house.consumer.tick()
    # It is asked after the decision: Bob is decided, and may be answered, before the translator has said anything.
    assert len(await waiting()) == 1
    assert translators.asked == []
    assert (await house.say("a blue square", BOB))[-1].text == "Queued, 1 of 1"
    assert last(house).text == NOTE
    await question(house, "синий круг")
    assert [text for text, _ in translators.asked] == [RUSSIAN]


async def test_an_operators_rerun_reads_the_translation_until_the_prompt_is_changed(
    house: House, translation: Any, django_user_model: Any
) -> None:
    translation("good")
    await press(house, (await house.say(RUSSIAN))[-1], "Make that")
    [row] = await jobs()
    olga = await sync_to_async(django_user_model.objects.create_superuser)("olga")

    def rerun(**changes: Any) -> Generation:
        return services.rerun(row, by=olga, **changes)

    same = await sync_to_async(rerun)(prompt=RUSSIAN)
    other = await sync_to_async(rerun)(prompt="a blue circle")
    assert (same.prompt, same.spec().prompt) == (RUSSIAN, "a red circle")
    assert (other.prompt, other.spec().prompt) == ("a blue circle", "a blue circle")
    assert toasts(house.telegram) == ["It is in the queue."]
