"""/status and /cancel: what is mine, where it stands, and how to stop it; in a group only what I asked for there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext

from generations.models import Requester, Status
from generations.services import Person, Place
from telegram_bot import commands
from telegram_bot.asking import Ask
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, WORKER, Finish, House, change, jobs, set_policy, updates

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

start: Callable[..., object] = sync_to_async(lambda row: row.start(WORKER))
progress: Callable[..., object] = sync_to_async(lambda row, percent: row.report_progress(WORKER, percent))


async def last(house: House, text: str, chat_id: int = ALICE, **more: object) -> str:
    """What the bot answers to it."""
    return (await house.say(text, chat_id, **more))[-1].text


async def statuses() -> list[str]:
    return [row.status for row in await jobs()]


async def test_status_says_where_each_of_mine_stands(house: House) -> None:
    await house.say("something of Bob's", BOB)
    for text in ("a red circle", "a blue square\nmoving   right", "held"):
        await house.say(text)
    rows = await jobs()
    await start(rows[1])
    await progress(rows[1], 60)
    await change(rows[3], status=Status.PENDING_REVIEW)
    assert await last(house, "/status") == (
        "Rendering 60 %: a red circle\n"
        "Waiting for an operator to approve it.: held\n"
        "Queued, 2 of 2: a blue square moving right"
    )


async def test_status_says_that_nothing_is_on_its_way(house: House, render: Finish) -> None:
    assert await last(house, "/status") == "Nothing of yours is on its way. Write what the video should show."
    await house.say("a red circle")
    await house.say("a cat", BOB)
    await render()
    await house.deliver()
    assert await last(house, "/status") == "Nothing of yours is on its way. Write what the video should show."


async def test_a_long_list_is_cut_and_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "LISTED", 2)
    for number in range(5):
        await house.say(f"number {number}")
    assert await last(house, "/status") == "Queued, 1 of 5: number 0\nQueued, 2 of 5: number 1\nand 3 more"


async def test_status_asks_no_more_of_the_database_for_a_long_list(house: House, render: Finish) -> None:
    await set_policy(waiting_limit=0)
    await house.say("made")
    await render()
    ask = Ask(Person(ALICE), Place(ALICE), "status", "", "")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            commands.status(ask)
        return len(queries)

    costs = []
    for number in (1, 30):
        for text in range(number):
            house.telegram.say(ALICE, f"number {text}")
        await house.receive()
        costs.append(await sync_to_async(cost)())
    assert costs[0] == costs[1]
    assert costs[0] > 0


async def test_what_came_just_before_the_question_is_in_the_answer(house: House) -> None:
    for text in ("one", "/status", "two", "/status"):
        house.telegram.say(ALICE, text)
    await house.receive()
    answers = [message.text for message in house.telegram.bot_messages(ALICE)]
    assert answers[1] == "Queued, 1 of 1: one"
    assert answers[3] == "Queued, 1 of 2: one\nQueued, 2 of 2: two"


async def test_cancel_stops_the_newest_and_says_which(house: House) -> None:
    for text in ("one", "two", "three"):
        await house.say(text)
    await start((await jobs())[0])
    assert await last(house, "/cancel") == (
        "Cancelled: three\n2 more of yours are on their way; /cancel all stops them too."
    )
    assert await last(house, "/cancel") == "Cancelled: two\n1 more of yours is on its way; /cancel all stops it too."
    assert await last(house, "/cancel") == "It is being stopped: one"
    assert await last(house, "/cancel") == "There is nothing to cancel."
    assert await statuses() == [Status.RUNNING, Status.CANCELLED, Status.CANCELLED]
    assert (await jobs())[0].cancel_requested_at is not None


async def test_cancel_all_stops_all_of_mine_and_nobody_elses(house: House) -> None:
    for text in ("one", "two"):
        await house.say(text)
    await house.say("a cat", BOB)
    assert await last(house, "/cancel ALL") == "2 videos were cancelled."
    assert await last(house, "/cancel all") == "There is nothing to cancel."
    assert await statuses() == [Status.CANCELLED, Status.CANCELLED, Status.QUEUED]


async def test_a_cancel_that_is_not_understood_stops_nothing(house: House) -> None:
    await house.say("one")
    assert await last(house, "/cancel 7") == "/cancel stops your newest video, /cancel all stops all of them."
    assert await statuses() == [Status.QUEUED]


async def test_cancel_stops_what_was_written_before_it_and_not_what_came_after(house: House) -> None:
    for text in ("one", "/cancel", "two"):
        house.telegram.say(ALICE, text)
    await house.receive()
    assert [(row.prompt, row.status) for row in await jobs()] == [("one", Status.CANCELLED), ("two", Status.QUEUED)]


async def test_a_cancel_that_is_handled_twice_stops_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot dies between doing it and noting that the update is done."""
    await house.say("one")
    await house.say("two")
    broken = iter([True])
    answer = commands.answer

    def breaks_once(ask: commands.Ask) -> commands.Told:
        told = answer(ask)
        if next(broken, False):
            raise OSError("the database went away")
        return told

    monkeypatch.setattr(commands, "answer", breaks_once)
    assert await last(house, "/cancel") == "Cancelled: two\n1 more of yours is on its way; /cancel all stops it too."
    assert await statuses() == [Status.QUEUED, Status.CANCELLED]
    assert [row.error for row in await updates()] == ["", "", ""]


async def test_again_makes_the_last_finished_prompt_with_another_seed(house: House, render: Finish) -> None:
    assert await last(house, "/again") == "You have no finished prompt to repeat yet."
    await house.say("a red circle --steps 30")
    await render()
    await house.deliver()
    await house.say("not finished")
    house.telegram.say(ALICE, "/again")
    await house.receive()
    old, _, new = await jobs()
    assert (new.prompt, new.steps, new.parent_id) == (old.prompt, 30, old.pk)
    assert new.seed != old.seed
    [*_, answer] = house.telegram.bot_messages(ALICE)
    assert (answer.text, answer.id) == ("Queued, 2 of 2", new.status_message_id)
    assert answer.reply_to == new.prompt_message_id


async def test_again_counts_against_the_limits(house: House, render: Finish) -> None:
    await set_policy(daily_limit=1)
    await house.say("a red circle")
    await render()
    assert (await last(house, "/again")).startswith("You have used your 1 video of today: 0 of 1 left.")
    assert len(await jobs()) == 1


async def test_again_while_the_repetition_is_on_its_way_makes_no_second(house: House, render: Finish) -> None:
    await house.say("a red circle")
    await render()
    for _ in range(2):
        house.telegram.say(ALICE, "/again")
    await house.receive()
    assert len(await jobs()) == 2


async def test_again_in_a_group_repeats_nothing_from_elsewhere(house: House, render: Finish) -> None:
    await house.say("a secret")
    await render()
    assert await last(house, "/again", GROUP, user_id=ALICE) == "You have no finished prompt to repeat yet."


async def test_in_a_group_only_what_was_asked_for_there_is_told_and_stopped(house: House) -> None:
    await house.say("a secret")
    await house.say("/video a cat", GROUP, user_id=ALICE)
    assert await last(house, "/status", GROUP, user_id=ALICE) == "Queued, 2 of 2: a cat"
    assert await last(house, "/status@simulator_bot", GROUP, user_id=BOB) == (
        "Nothing of yours is on its way. Write what the video should show."
    )
    assert await last(house, "/cancel", GROUP, user_id=BOB) == "There is nothing to cancel."
    assert await last(house, "/cancel all", GROUP, user_id=ALICE) == "1 video was cancelled."
    assert [(row.prompt, row.status) for row in await jobs()] == [
        ("a secret", Status.QUEUED),
        ("a cat", Status.CANCELLED),
    ]


@pytest.mark.parametrize("text", ["/status@another_bot", "/cancel@another_bot all"])
async def test_a_command_for_another_bot_is_left_alone(house: House, text: str) -> None:
    await house.say("/video a cat", GROUP, user_id=ALICE)
    assert len(await house.say(text, GROUP, user_id=ALICE)) == 1
    assert await statuses() == [Status.QUEUED]


async def test_asking_makes_nobody_known(house: House) -> None:
    for text in ("/status", "/usage", "/history", "/cancel"):
        await house.say(text)
    assert await sync_to_async(Requester.objects.count)() == 0
