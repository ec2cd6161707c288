"""Five hundred people wait, and the queue moves every second: edits stay few, and nobody waits for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from generations.models import Generation, Requester
from telegram_bot.delivery import courier, status
from telegram_bot.limiter import ALL_CHATS, CROWD, FloodLimiter
from telegram_bot.simulator import Message, Simulator
from tests.telegram_bot.conftest import BOB, WORKER, House
from tests.telegram_bot.test_status import Clock

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

PEOPLE = range(7001, 7501)
STATUS = 1


@sync_to_async
def five_hundred_wait(telegram: Simulator) -> None:
    """Each in a chat of their own, with a status message that says where they stand."""
    Requester.objects.bulk_create([Requester(user_id=number) for number in PEOPLE])
    shape = {"frames": 8, "width": 64, "height": 64, "fps": 8.0, "steps": 25, "guidance_scale": 9.0, "seed": 1}
    rows = []
    for place, requester in enumerate(Requester.objects.order_by("user_id"), 1):
        chat, told = telegram.world.add_chat(requester.user_id), f"Queued, {place} of {len(PEOPLE)}"
        content = {"message_id": STATUS, "from": telegram.world.bot, "chat": chat.about(), "date": 1, "text": told}
        chat.messages[STATUS], chat.next_id = Message(content, from_bot=True), STATUS + 1
        key, asked = f"budget:{requester.user_id}", {"requester": requester, "prompt": "a cat", "chat_id": chat.id}
        shown = {"status_message_id": STATUS, "status_text": told, "queued_at": timezone.now()}
        rows.append(Generation(request_key=key, **asked, **shown, **shape))
    Generation.objects.bulk_create(rows)


@sync_to_async
def a_worker_goes_on(second: int) -> None:
    """Takes a row every ten seconds, and tells of every tenth part of it."""
    running = Generation.objects.filter(owner=WORKER).first()
    if running is None:
        [running] = Generation.objects.claim_next(WORKER)
    running.report_progress(WORKER, 10 * (second % 10))
    if second % 10 == 9:
        running.stopped(WORKER)
        running.delete()


async def test_five_hundred_status_messages_are_edited_within_the_budgets(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(status, "time", clock)
    monkeypatch.setattr(courier, "time", clock)
    await five_hundred_wait(house.telegram)
    at: dict[int, list[int]] = defaultdict(list)
    rendering: set[int] = set()
    for second in range(31):
        await a_worker_goes_on(second)
        since = len(house.telegram.calls())
        await house.courier.tick()
        await house.courier.finish(10)
        for call in house.telegram.calls()[since:]:
            assert (call.method, call.status) == ("editMessageText", 200), "a text that is there already is no edit"
            at[int(call.chat_id or 0)].append(second)
            if call.params["text"].startswith("Rendering"):
                rendering.add(int(call.chat_id or 0))
        clock.now += 1
    per_second = Counter(second for seconds in at.values() for second in seconds)
    # Of the 25 calls that Telegram allows in a second, twenty are left for answers and videos.
    assert max(per_second.values()) == status.EDITS_PER_TICK == 5
    gaps = {chat: [later - earlier for earlier, later in pairwise(seconds)] for chat, seconds in at.items()}
    assert min(gap for chat in at if chat not in rendering for gap in gaps[chat]) >= 10
    assert min(gap for chat in rendering for gap in gaps[chat]) == 3
    # They are those who come next, and each is told that the queue moves.
    assert sorted(at) == list(PEOPLE)[: len(at)]
    assert len(at) >= 50


class Watched(FloodLimiter):
    """With Telegram's real limits. Notes how many calls had been made when an answer asked for its turn."""

    def __init__(self, telegram: Simulator) -> None:
        super().__init__()
        self.telegram, self.made_before_answer = telegram, 0

    async def process_request(self, **call: Any) -> Any:
        if call["endpoint"] == "sendMessage":
            self.made_before_answer = len(self.telegram.calls())
        return await super().process_request(**call)


async def test_an_answer_waits_for_few_edits(
    house: House, telegram: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "LOOK_SECONDS", 0.0)
    limiter = house.application.bot._rate_limiter = Watched(telegram)
    await five_hundred_wait(telegram)
    await sync_to_async(Generation.objects.update)(status_text="")
    telegram.say(BOB, "/usage")
    await house.fetch()
    await house.consumer.tick()
    # More at once than there ever are.
    for _ in range(6):
        await house.courier.tick()
    await house.consumer.run_once()
    await house.courier.finish(10)
    methods = [call.method for call in telegram.calls()]
    # Those in line, and those that had their turn and were on their way: on a busy machine of two turns. 500 wait.
    assert methods.index("sendMessage") - limiter.made_before_answer <= CROWD + 2 * ALL_CHATS[0]
    assert methods.count("editMessageText") >= CROWD
