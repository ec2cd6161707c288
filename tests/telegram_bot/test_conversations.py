"""Random conversations: whatever people, a worker, an operator and restarts do, in any order, the promises hold.

A few short ones here; `--hypothesis-profile=full` runs the sixty of fifty steps, see docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connections
from django.utils import timezone
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from generations import operating, tasks
from generations.models import Generation, Policy, Status
from telegram_bot import inbox, polling
from telegram_bot.delivery import rows as delivery_rows
from telegram_bot.delivery import status
from telegram_bot.simulator import Simulator
from tests.conftest import empty_tables
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House
from tests.telegram_bot.conversations import CAROL, FORUM, PEOPLE, Button, Town
from tests.telegram_bot.strange_texts import COMMANDS, IN_GROUPS, MEDIA, REPLIES, TALK, TEXTS

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

person = st.sampled_from(PEOPLE)
# Counted from the newest, and round again: most of what people press is new.
which = st.one_of(st.integers(0, 8), st.integers(0, 999))
# Does the bot look before the next step, so that what comes of this one can be told exactly?
at_once = st.booleans()
prompt = st.sampled_from(TEXTS)


class Log(logging.Handler):
    """Everything that an operator would have to look into."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def loop(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Runner]:
    monkeypatch.setattr(tasks, "_enqueue", lambda job_id: None)
    monkeypatch.setattr(polling, "LONG_POLL_SECONDS", 0)
    # How often a chat is edited has its own tests.
    monkeypatch.setattr(status, "WHILE_QUEUED", 0.0)
    monkeypatch.setattr(status, "WHILE_RENDERING", 0.0)
    monkeypatch.setattr(status, "IN_GROUPS", 0.0)
    with asyncio.Runner() as runner:
        yield runner

        async def close() -> None:
            await sync_to_async(connections.close_all)()

        runner.run(close())


def test_every_conversation_keeps_the_promises(
    telegram: Simulator, loop: asyncio.Runner, clip: bytes, settings: Any
) -> None:
    run = loop.run
    log = Log()

    class Conversation(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            log.lines.clear()
            logging.getLogger().addHandler(log)
            empty_tables()
            telegram.reset()
            for user_id, name, language in ((ALICE, "Alice", "en"), (BOB, "Bob", "de"), (CAROL, "Carol", "zh-hans")):
                telegram.add_user(user_id, name, language_code=language)
                telegram.add_chat(user_id)
            telegram.add_chat(GROUP, "supergroup", "Friends")
            telegram.add_chat(FORUM, "supergroup", "Forum", is_forum=True)
            self.topic = telegram.add_topic(FORUM, "Videos")
            telegram.world.updates.waiting.clear()
            self.bots = 0
            self.town = Town(self.new_bot())
            self.operator = get_user_model().objects.create_user("operator")

        def new_bot(self) -> House:
            """Another process with nothing but the database."""
            self.bots += 1
            house = House(telegram, f"bot {self.bots}")
            run(house.application.initialize())
            inbox.release_all()
            delivery_rows.release_all(house.owner)
            return house

        @initialize(
            daily=st.sampled_from([0, 3, 50]),
            waiting=st.sampled_from([0, 1, 3, 5]),
            queue=st.sampled_from([0, 4, 200]),
            reviewed=st.sampled_from([False, False, True]),
            door=st.sampled_from(["open", "open", "open", "terms", "ask"]),
        )
        def policy(self, daily: int, waiting: int, queue: int, reviewed: bool, door: str) -> None:
            Policy.current()
            review = Policy.Review.BEFORE_GENERATION if reviewed else Policy.Review.AUTO
            Policy.objects.update(daily_limit=daily, waiting_limit=waiting, queue_limit=queue, review=review)
            self.town.is_open = door == "open"
            if door == "terms":
                Policy.objects.update(terms="Be kind.", terms_version=1)
            elif door == "ask":
                Policy.objects.update(access=Policy.Access.ASK)

        # --- people

        @rule(person=person, prompt=prompt, at_once=at_once)
        def writes(self, person: int, prompt: tuple[str, int | None], at_once: bool) -> None:
            self.before_message(at_once)
            text, wanted = prompt
            self.town.sends(telegram.say(person, text), wanted=wanted)
            self.after_message(at_once)

        @rule(person=person, text=st.text(max_size=60), at_once=at_once)
        def writes_anything(self, person: int, text: str, at_once: bool) -> None:
            self.before_message(at_once)
            self.town.sends(telegram.say(person, text), wanted=None)
            self.after_message(at_once)

        @rule(person=person, command=st.sampled_from(COMMANDS), at_once=at_once)
        def commands(self, person: int, command: str, at_once: bool) -> None:
            self.before_message(at_once)
            self.town.sends(telegram.say(person, command), wanted=None)
            self.after_message(at_once)

        @rule(person=person, kind=st.sampled_from(MEDIA), at_once=at_once)
        def sends_something_else(self, person: int, kind: str, at_once: bool) -> None:
            self.before_message(at_once)
            self.town.sends(telegram.send(person, kind), wanted=0)
            self.after_message(at_once)

        @rule(
            person=person,
            text=st.sampled_from(IN_GROUPS),
            in_topic=st.booleans(),
            at_once=at_once,
        )
        def writes_in_a_group(self, person: int, text: str, in_topic: bool, at_once: bool) -> None:
            self.before_message(at_once)
            where = {"chat_id": FORUM, "thread_id": self.topic} if in_topic else {"chat_id": GROUP}
            self.town.sends(telegram.say(text=text, user_id=person, **where), wanted=None)
            self.after_message(at_once)

        @rule(person=person, text=st.sampled_from(TALK))
        def talks_to_others(self, person: int, text: str) -> None:
            self.town.sends(telegram.say(GROUP, text, user_id=person), wanted=0, answered=False)

        @precondition(lambda self: self.town.buttons)
        @rule(
            which=which,
            text=st.sampled_from(REPLIES),
            at_once=at_once,
        )
        def replies_to_the_bot(self, which: int, text: str, at_once: bool) -> None:
            self.before_message(at_once)
            button = self.button(which)
            if telegram.world.chats[button.chat_id].message(button.message_id) is not None:
                user_id = button.chat_id if button.chat_id > 0 else ALICE
                answer = telegram.say(button.chat_id, text, user_id=user_id, reply_to=button.message_id)
                self.town.sends(answer, wanted=None)
                self.after_message(at_once)

        @precondition(lambda self: self.town.buttons)
        @rule(which=which, by=st.sampled_from([None, None, None, *PEOPLE]), at_once=at_once)
        def presses(self, which: int, by: int | None, at_once: bool) -> None:
            """Any button that was ever shown to anybody; mostly one's own."""
            self.before_message(at_once)
            button = self.button(which)
            user_id = by or self.town.owner_of(button) or (button.chat_id if button.chat_id > 0 else BOB)
            note(f"{user_id} presses {button}")
            self.town.presses(button, user_id)
            self.after_message(at_once)

        @precondition(lambda self: self.town.buttons)
        @rule(which=which)
        def deletes_a_message_of_the_bot(self, which: int) -> None:
            button = self.button(which)
            if telegram.world.chats[button.chat_id].message(button.message_id) is not None:
                telegram.delete(button.chat_id, button.message_id)

        @precondition(lambda self: self.town.sent)
        @rule(which=which, prompt=prompt, at_once=at_once)
        def edits_a_message(self, which: int, prompt: tuple[str, int | None], at_once: bool) -> None:
            self.before_message(at_once)
            message = self.town.sent[-1 - which % len(self.town.sent)].get("message")
            if message is not None:
                self.town.edits(telegram.edit(message["chat"]["id"], message["message_id"], prompt[0]))
                self.after_message(at_once)

        @precondition(lambda self: self.town.sent)
        @rule(which=which)
        def telegram_repeats_itself(self, which: int) -> None:
            telegram.inject(self.town.sent[-1 - which % len(self.town.sent)])

        # --- the bot

        @rule()
        def the_bot_looks(self) -> None:
            with self.town.handled(spoken=True):
                run(self.town.house.receive())

        @rule()
        def the_bot_decides_and_says_nothing_yet(self) -> None:
            async def decide() -> None:
                await self.town.house.fetch()
                await self.town.house.consumer.tick()
                await self.town.house.consumer.speaker.toasts_shown()

            with self.town.handled(spoken=False):
                run(decide())

        @rule()
        def the_bot_delivers(self) -> None:
            with self.town.delivered():
                run(self.town.house.deliver())

        @rule()
        def the_bot_edits_status_messages(self) -> None:
            with self.town.status_shown():
                run(self.town.house.show_status())

        @rule()
        def the_bot_is_restarted(self) -> None:
            run(self.stop_bot())
            self.town.house = self.new_bot()

        # --- worker and operator

        @rule(number=st.integers(1, 3))
        def a_worker_takes_rows(self, number: int) -> None:
            Generation.objects.claim_next("worker 1", number)

        @precondition(lambda self: self.running())
        @rule(which=which, percent=st.integers(0, 100))
        def a_worker_goes_on(self, which: int, percent: int) -> None:
            running = self.running()
            row = running[which % len(running)]
            assert row.report_progress(row.owner, percent)

        @precondition(lambda self: self.running())
        @rule(which=which, end=st.sampled_from(["made", "made", "made", "lost", "later", "dies"]))
        def a_worker_ends(self, which: int, end: str) -> None:
            running = self.running()
            self.end(running[which % len(running)], end)

        @rule(which=which, approves=st.booleans())
        def an_operator_decides(self, which: int, approves: bool) -> None:
            held = list(Generation.objects.filter(status=Status.PENDING_REVIEW).order_by("pk"))
            if not held:
                return
            row = held[which % len(held)]
            if approves:
                assert operating.approve(row, by=self.operator)
            else:
                assert operating.reject(row, by=self.operator, reason="Not <b>this</b> one.")
                self.town.rows[row.pk] = "lost"

        # --- how

        def before_message(self, at_once: bool) -> None:
            if at_once and self.town.batch.updates:
                self.the_bot_looks()

        def after_message(self, at_once: bool) -> None:
            if at_once:
                self.the_bot_looks()

        def button(self, which: int) -> Button:
            shown = list(self.town.buttons)
            return shown[-1 - which % len(shown)]

        def running(self) -> list[Generation]:
            return list(Generation.objects.filter(status=Status.RUNNING).order_by("pk"))

        def end(self, row: Generation, end: str) -> None:
            owner = row.owner
            if end == "dies":
                Generation.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
                assert row.recover()
                row.refresh_from_db()
                if row.is_finished:
                    self.town.rows[row.pk] = "lost"
            elif row.cancel_requested_at is not None:
                assert row.stopped(owner)
                self.town.rows[row.pk] = "lost"
            elif end == "made":
                name = default_storage.save(f"{row.pk}.mp4", ContentFile(clip))
                facts = {"video_width": 64, "video_height": 64, "duration": 1.0}
                assert row.succeed(owner, file=name, poster="", sha256="", seconds=12.3, **facts)
                self.town.rows[row.pk] = "made"
            elif end == "lost":
                assert row.fail(owner, public_reason="Out of memory.", traceback="")
                self.town.rows[row.pk] = "lost"
            else:
                assert row.retry_later(owner, reason="shutdown")

        async def stop_bot(self) -> None:
            house = self.town.house
            await house.consumer.speaker.finish(1)
            await house.courier.finish(1)
            await house.application.shutdown()
            await house.application.bot.shutdown()

        def drain(self) -> None:
            self.the_bot_looks()
            for row in Generation.objects.filter(status=Status.PENDING_REVIEW):
                assert operating.approve(row, by=self.operator)
            while Generation.objects.claim_next("worker 1"):
                pass
            for row in self.running():
                self.end(row, "made")
            self.the_bot_delivers()
            self.town.drained()

        def teardown(self) -> None:
            try:
                # Hypothesis calls this after a failure, too.
                if sys.exc_info()[0] is None:
                    self.drain()
                    assert log.lines == []
            finally:
                run(self.stop_bot())
                logging.getLogger().removeHandler(log)

    run_state_machine_as_test(Conversation)
