"""Steps that the tests of buttons share."""

from __future__ import annotations

from generations.models import Generation
from telegram_bot.simulator import Message, Simulator

from .conftest import ALICE, Finish, House, jobs


def toasts(telegram: Simulator) -> list[str]:
    """What answerCallbackQuery showed, oldest first."""
    return [str(call.params.get("text", "")) for call in telegram.calls("answerCallbackQuery")]


def labels(message: Message) -> list[list[str]]:
    return [[button["text"] for button in row] for row in message.buttons]


async def press(
    house: House, message: Message, button: str, *, chat_id: int = ALICE, user_id: int = ALICE, times: int = 1
) -> str:
    """Press it, so many times before the bot looks, and return the last toast."""
    for _ in range(times):
        house.telegram.press(chat_id, message.id, button, user_id=user_id)
    await house.receive()
    return toasts(house.telegram)[-1]


def last(house: House, chat_id: int = ALICE) -> Message:
    return house.telegram.bot_messages(chat_id)[-1]


async def video(house: House, render: Finish, prompt: str = "a red circle", chat_id: int = ALICE) -> Generation:
    """One that arrived."""
    await house.say(prompt, chat_id, user_id=ALICE)
    await render()
    await house.deliver()
    assert last(house, chat_id).kind == "video"
    return (await jobs())[-1]
