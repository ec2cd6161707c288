"""A person is answered in the language of their Telegram, or in the one that they chose with /language."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from generations.models import Generation, Requester, Status
from telegram_bot import consumer, languages
from telegram_bot.access_requests import DECIDE
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, WORKER, Finish, House, change, job, set_policy
from tests.telegram_bot.pressing import labels, last, press, toasts, video
from tests.telegram_bot.test_operators import make_operator

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

NAMES = [["English", "Deutsch"], ["Español", "Русский"]]


@pytest.fixture
def german(house: House) -> House:
    house.telegram.add_user(ALICE, language_code="de")
    return house


def test_a_language_of_telegram_is_one_of_ours_or_english() -> None:
    ours = {"de": "de", "de-AT": "de", "es": "es", "es-419": "es", "ru": "ru", "en": "en", "en-US": "en"}
    chinese = dict.fromkeys(["zh", "zh-hans", "zh_CN", "zh-sg", "ZH-Hans"], "zh-hans")
    # Whoever reads other characters or another language is not guessed at.
    others = dict.fromkeys(["zh-hant", "zh-tw", "pt-br", "uk", "xx", "", "-"], "en")
    for code, language in {**ours, **chinese, **others}.items():
        assert languages.of("", code) == language
        assert languages.of("ru", code) == "ru"
        assert languages.of("a language of an earlier version", code) == language


async def test_a_german_is_answered_in_german_from_the_prompt_to_the_video(house: House, render: Finish) -> None:
    house.telegram.add_user(ALICE, language_code="de")
    [greeting] = await house.say("/start")
    assert greeting.text.startswith("Hallo! Ich mache aus Text kurze Videos.")
    status = (await house.say("a red circle"))[-1]
    assert (status.text, labels(status)) == ("In der Warteschlange, 1 von 1", [["Abbrechen"]])
    await start(await job())
    await house.show_status()
    assert last(house).text == "Wird gerendert, 0 %"
    assert labels(last(house)) == [["Abbrechen"]]
    await succeed(await job(), render)
    await house.deliver()
    result = last(house)
    assert "· exact, 20 Schritte ·" in result.data["caption"]
    assert labels(result)[0] == ["Noch einmal", "Gleicher Seed"]
    assert await press(house, result, "Melden") == "Danke. Die Betreiber dieses Bots werden es sich ansehen."


async def test_what_is_refused_is_said_in_german(german: House) -> None:
    await set_policy(waiting_limit=1)
    assert (await german.say("/strat"))[-1].text.startswith("Diesen Befehl kenne ich nicht. Es gibt:\n/start: Was")
    german.telegram.send(ALICE, "sticker")
    await german.receive()
    assert last(german).text.startswith("Ich kann nur Text lesen.")
    wrong = (await german.say("a cat --steps 900"))[-1].text
    assert wrong == "--steps muss eine ganze Zahl von 10 bis 50 sein, nicht 900."
    await german.say("a cat")
    refusal = (await german.say("a dog"))[-1].text
    assert refusal.startswith("Du hast 1 unfertiges Video, mehr darf eine Person nicht gleichzeitig haben.")


async def test_a_failure_that_a_worker_noted_in_english_is_told_in_german(german: House) -> None:
    await german.say("a red circle")
    row = await job()
    await start(row)
    await sync_to_async(row.fail)(WORKER, public_reason="No video came out. Please try again.", traceback="")
    await german.deliver()
    failure = last(german)
    assert failure.text == "Es ist kein Video herausgekommen. Bitte versuch es noch einmal."
    assert labels(failure) == [["Nochmal versuchen"]]


async def test_an_apology_is_made_in_german(german: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "MAX_ATTEMPTS", 1)

    def broken(*_: Any) -> None:
        raise RuntimeError("trouble")

    monkeypatch.setattr(consumer, "settle", broken)
    assert (await german.say("/usage"))[-1].text.startswith("Hier ist etwas schiefgegangen,")


async def test_the_menu_names_each_language_in_its_own_words(german: House) -> None:
    [menu] = await german.say("/language")
    assert menu.text == "In welcher Sprache soll ich dir antworten? Deine Prompts bleiben, wie du sie schreibst."
    assert labels(menu) == [*NAMES, ["简体中文", "✓ Wie mein Telegram"]]


async def test_what_is_chosen_counts_at_once_and_for_what_is_on_its_way(german: House, render: Finish) -> None:
    status = (await german.say("a red circle"))[-1]
    menu = (await german.say("/language"))[-1]
    assert await press(german, menu, "Русский") == "Сохранено."
    menu = last(german)
    assert menu.text.startswith("На каком языке вам отвечать?")
    assert labels(menu) == [NAMES[0], ["Español", "✓ Русский"], ["简体中文", "Как в моём Telegram"]]

    await german.show_status()
    status = german.telegram.bot_messages(ALICE)[0]
    assert (status.text, labels(status)) == ("В очереди, 1 из 1", [["Отменить"]])
    await render()
    await german.deliver()
    assert "· exact, 20 шагов ·" in german.telegram.bot_messages(ALICE)[0].data["caption"]
    german.restart()
    assert (await german.say("/history"))[-1].text.startswith("Ваши видео, страница 1 из 1.")

    assert await press(german, menu, "Как в моём Telegram") == "Gespeichert."
    assert (await german.say("/usage"))[-1].text.startswith("Heute hast du 1 von 50 Videos verbraucht; 49 übrig.")


async def test_in_a_group_everybody_is_answered_in_their_own_language(german: House) -> None:
    for person, words in ((ALICE, "In der Warteschlange, 1 von 1"), (BOB, "Queued, 2 of 2")):
        assert (await german.say("/video a cat", GROUP, user_id=person))[-1].text == words
    await german.show_status()
    assert [message.text for message in german.telegram.bot_messages(GROUP)] == [
        "In der Warteschlange, 1 von 2",
        "Queued, 2 of 2",
    ]
    [mine, _] = german.telegram.bot_messages(GROUP)
    toast = await press(german, mine, "Abbrechen", chat_id=GROUP, user_id=BOB)
    assert toast == "Only the person who asked for this can use its buttons."


async def test_who_asks_for_access_and_who_decides_read_each_their_own_language(german: House) -> None:
    await set_policy(access="ask")
    german.telegram.add_user(BOB, language_code="ru")
    german.telegram.add_chat(BOB)
    await sync_to_async(make_operator)(BOB, DECIDE)
    # Whom nobody has just heard is answered as they were last known.
    await german.say("/language", BOB)
    await press(german, last(german, BOB), "Русский", chat_id=BOB, user_id=BOB)
    question = (await german.say("a red circle"))[-1]
    assert labels(question) == [["Zugang erbitten"]]
    await press(german, question, "Zugang erbitten")
    await german.notify()
    request = last(german, BOB)
    assert request.text.startswith("Кто-то просит доступ.\nИмя: Alice")
    assert labels(request) == [["Одобрить", "Отклонить"]]
    assert await press(german, request, "Одобрить", chat_id=BOB, user_id=BOB) == f"Одобрено: operator{BOB}."
    await german.notify()
    assert last(german).text == "Du hast Zugang. Schreib, was das Video zeigen soll."
    assert last(german, BOB).text.endswith(f"\n\nОдобрено: operator{BOB}.")
    question = (await german.say("/delete_me"))[-1]
    await press(german, question, "Alles löschen")
    await german.notify()
    assert last(german, BOB).text == "Это касалось человека, который всё удалил."


async def test_a_search_from_another_chat_is_answered_in_german(german: House) -> None:
    german.telegram.allow_inline()
    await german.application.bot.get_me()
    update = german.telegram.ask_inline(ALICE, "a red circle", "")
    await german.receive()
    answer = german.telegram.inline_answer(update)
    assert answer is not None
    assert answer["button"]["text"] == "Kein passendes Video. Eins machen"


async def test_nobody_chooses_for_another(german: House) -> None:
    await german.say("/language", GROUP, user_id=ALICE)
    toast = await press(german, last(german, GROUP), "Русский", chat_id=GROUP, user_id=BOB)
    assert toast == "Only the person who asked for this can use its buttons."
    assert not await sync_to_async(Requester.objects.exclude(language="").exists)()


async def test_a_button_that_was_made_up_chooses_nothing(house: House) -> None:
    [menu] = await house.say("/language")
    sender = {"id": ALICE, "is_bot": False, "first_name": "A"}
    made_up = ["language", "language:1001", "language:1001:", "language:1001:xx", "language:x:de"]
    for number, data in enumerate(made_up):
        query = {"id": str(number), "from": sender, "chat_instance": "1", "data": data, "message": menu.data}
        await house.inject({"update_id": 9_000_000 + number, "callback_query": query})
    assert len(toasts(house.telegram)) == len(made_up)
    assert "Saved." not in toasts(house.telegram)
    assert not await sync_to_async(Requester.objects.exclude(language="").exists)()


async def test_a_language_code_that_is_none_is_english(house: House) -> None:
    chat = {"id": ALICE, "type": "private", "first_name": "Alice"}
    codes: list[Any] = [None, 7, ["de"], "x" * 500, "d\0e"]
    for number, code in enumerate(codes, 1):
        sender = {"id": ALICE, "is_bot": False, "first_name": "Alice", "language_code": code}
        message = {"message_id": number, "date": 1764000000, "chat": chat, "from": sender, "text": "/usage"}
        answer = (await house.inject({"update_id": number, "message": message}))[-1]
        assert answer.text.startswith("Today you have used")
    assert len(house.telegram.bot_messages(ALICE)) == len(codes)


async def test_the_operators_greeting_stays_as_written(german: House) -> None:
    await set_policy(greeting="Welcome to the film club.")
    [greeting] = await german.say("/start")
    assert greeting.text.startswith("Welcome to the film club.\n\n")
    assert "\n\nZum Beispiel:\n" in greeting.text


async def test_the_choice_goes_with_everything_else_that_is_kept(german: House) -> None:
    menu = (await german.say("/language"))[-1]
    await press(german, menu, "Русский")
    question = (await german.say("/delete_me"))[-1]
    assert await press(german, question, "Удалить всё") == "Удалено."
    assert last(german).text.startswith("Всё, что о вас хранилось, удалено.")
    assert (await german.say("/language"))[-1].text.startswith("In welcher Sprache")


async def test_the_same_video_is_shown_in_todays_language(german: House, render: Finish) -> None:
    await video(german, render)
    german.telegram.add_user(ALICE, language_code="es")
    history = (await german.say("/history"))[-1]
    await press(german, history, labels(history)[0][0])
    again = last(german)
    assert "· exact, 20 pasos ·" in again.data["caption"]
    assert labels(again)[0] == ["Otra vez", "Misma semilla"]


@sync_to_async
def start(row: Generation) -> None:
    assert row.start(WORKER)


async def succeed(row: Generation, render: Finish) -> None:
    """What is being rendered already."""
    await change(row, status=Status.QUEUED, attempt=0)
    await render(await job())
