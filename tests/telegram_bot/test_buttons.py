"""Buttons in general: who may press, twice, late, with nonsense; and that a press reaches the bot at all."""

from __future__ import annotations

import pytest
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from generations.models import Status
from telegram_bot import actions, texts
from telegram_bot.buttons import Answer, Button, Form, Media, Press, Pressed, callback
from telegram_bot.simulator import Simulator

from .conftest import ALICE, House, job, updates


def toasts(telegram: Simulator) -> list[str]:
    """What answerCallbackQuery showed, oldest first."""
    return [str(call.params.get("text", "")) for call in telegram.calls("answerCallbackQuery")]


def test_a_button_carries_no_more_than_telegram_takes() -> None:
    assert callback("again", 7, "x") == "again:7:x"
    with pytest.raises(ValueError, match="a button cannot carry"):
        callback("again", "é" * 30)


def test_what_is_kept_of_an_answer_is_what_was_meant() -> None:
    wishes: list[Answer | Pressed] = [
        Answer("words", [[Button("日本 \ud83d", "a:1"), Button("b", "b:2")], [Button("c", "c")]]),
        Answer("caption", media=Media("document", name="videos/x.mp4")),
        Pressed(text="edited", keyboard=[]),
        Pressed(deletes=True),
    ]
    for wish in wishes:
        _, form = Form.of(wish)
        assert Form.load(form.dump()) == form
        assert form.dump().isascii()
    assert Form.of(Answer("plain"))[1].dump() == ""


async def test_a_press_is_answered_with_a_toast_and_the_edited_message(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn(press: Press) -> Pressed:
        page = (press.number() or 0) + 1
        return Pressed(f"page {page}", text=f"This is page {page}", keyboard=[[Button("on", callback("turn", page))]])

    monkeypatch.setitem(actions.ACTIONS, "turn", turn)
    await house.application.bot.send_message(ALICE, "first", reply_markup=_keyboard("on", "turn:1"))
    for _ in range(2):
        [message] = house.telegram.bot_messages(ALICE)
        house.telegram.press(ALICE, message.id, "on")
        await house.receive()
    [message] = house.telegram.bot_messages(ALICE)
    assert message.texts == ["first", "This is page 2", "This is page 3"]
    assert message.buttons == [[{"text": "on", "callback_data": "turn:3"}]]
    assert toasts(house.telegram) == ["page 2", "page 3"]
    assert [bool(row.handled_at) for row in await updates()] == [True, True]


async def test_only_the_buttons_can_be_changed_and_taken_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(actions.ACTIONS, "sure", lambda press: Pressed(keyboard=[[Button("yes", "off:1")]]))
    monkeypatch.setitem(actions.ACTIONS, "off", lambda press: Pressed(keyboard=[]))
    await house.application.bot.send_message(ALICE, "words", reply_markup=_keyboard("delete", "sure:1"))
    [message] = house.telegram.bot_messages(ALICE)
    for button, left in (("delete", ["yes"]), ("yes", [])):
        house.telegram.press(ALICE, message.id, button)
        await house.receive()
        [message] = house.telegram.bot_messages(ALICE)
        assert message.text == "words"
        assert [entry["text"] for row in message.buttons for entry in row] == left


async def test_a_press_may_bring_a_new_message_with_buttons(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer("here", [[Button("more", "more:1")]])
    monkeypatch.setitem(actions.ACTIONS, "more", lambda press: Pressed(sends=answer))
    await house.application.bot.send_message(ALICE, "first", reply_markup=_keyboard("more", "more:1"))
    [first] = house.telegram.bot_messages(ALICE)
    house.telegram.press(ALICE, first.id, "more")
    await house.receive()
    second = house.telegram.bot_messages(ALICE)[1]
    assert (second.text, second.reply_to) == ("here", first.id)
    assert second.buttons == [[{"text": "more", "callback_data": "more:1"}]]


@pytest.mark.parametrize("data", ["nonsense", "cancel", "cancel:", "cancel:x", "cancel:²", "cancel:" + "9" * 50, ":1"])
async def test_a_button_with_nonsense_gets_a_short_answer(house: House, data: str) -> None:
    await house.application.bot.send_message(ALICE, "old", reply_markup=_keyboard("old", data))
    [message] = house.telegram.bot_messages(ALICE)
    house.telegram.press(ALICE, message.id, "old")
    await house.receive()
    [toast] = toasts(house.telegram)
    assert toast in {texts.unknown_button(), texts.gone()}
    assert [row.error for row in await updates()] == [""]


async def test_a_press_that_comes_too_late_for_a_toast_still_acts(house: House) -> None:
    [status] = await house.say("a red circle")
    house.telegram.press(ALICE, status.id, texts.button_cancel(), expired=True)
    await house.receive()
    assert (await job()).status == Status.CANCELLED


async def test_an_old_message_of_which_telegram_tells_only_the_number_still_has_working_buttons(house: House) -> None:
    [status] = await house.say("a red circle")
    generation = await job()
    await house.inject(
        {
            "update_id": 77,
            "callback_query": {
                "id": "1",
                "from": {"id": ALICE, "is_bot": False, "first_name": "Alice"},
                "chat_instance": "1",
                "data": f"cancel:{generation.pk}",
                "message": {"chat": {"id": ALICE, "type": "private"}, "message_id": status.id, "date": 0},
            },
        }
    )
    assert (await job()).status == Status.CANCELLED


async def test_a_button_that_came_out_of_inline_mode_is_answered_by_nothing_worse_than_silence(house: House) -> None:
    person = {"id": ALICE, "is_bot": False, "first_name": "Alice"}
    query = {"id": "1", "from": person, "chat_instance": "1", "data": "cancel:1", "inline_message_id": "abc"}
    await house.inject({"update_id": 77, "callback_query": query})
    assert [(row.error, bool(row.handled_at)) for row in await updates()] == [("", True)]


async def test_an_action_that_fails_is_tried_again_and_then_apologised_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(press: Press) -> Pressed:
        raise RuntimeError("no")

    monkeypatch.setitem(actions.ACTIONS, "broken", broken)
    monkeypatch.setattr("telegram_bot.consumer.MAX_ATTEMPTS", 1)
    await house.application.bot.send_message(ALICE, "old", reply_markup=_keyboard("old", "broken:1"))
    [message] = house.telegram.bot_messages(ALICE)
    house.telegram.press(ALICE, message.id, "old")
    await house.receive()
    assert toasts(house.telegram) == [texts.trouble_with_button()]
    assert [row.error for row in await updates()] == ["RuntimeError: no"]
    assert [message.text for message in house.telegram.bot_messages(ALICE)] == ["old"]


def _keyboard(label: str, data: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton(label, callback_data=data)]])
