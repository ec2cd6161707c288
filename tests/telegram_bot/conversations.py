"""A small town that talks to the bot, and what must hold whatever its people do. test_conversations.py moves them."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from generations import personal
from generations.models import AskedPrompt, Delivery, Generation, GenerationEvent, Policy, Requester, Status
from telegram_bot import job_buttons
from telegram_bot.captions import utf16_length
from telegram_bot.consumer import FAILURES
from telegram_bot.simulator import Message
from telegram_bot.simulator.record import Call
from telegram_bot.simulator.world import Query
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, House

CAROL = 1003
PEOPLE = (ALICE, BOB, CAROL)
FORUM = -3001
# In any language.
SEVERAL = re.compile(r"\n\n[(（][^()（）\d]*(\d+)[^()（）\d]*[)）]$")
NEW_MESSAGE = {"sendMessage", "sendVideo", "sendAnimation", "sendDocument"}
EDIT = {"editMessageText", "editMessageMedia"}
# Buttons whose first argument is the number of a job.
OF_JOBS = {*job_buttons.ACTIONS, "show", "reword"}
# Of a person, everything but what the worker notes.
OF_PEOPLE = sorted({field.attname for field in Requester._meta.concrete_fields} - {"last_served_at"})
# What an honest bot is told now and then, because people deleted a message.
GONE = ("message to edit not found", "message to delete not found")
# A button that is pressed again asks for what is shown already.
PRESSED_AGAIN = "message is not modified"


@dataclass(frozen=True)
class Button:
    chat_id: int
    message_id: int
    data: str


@dataclass
class Batch:
    """What people did since the bot last looked."""

    senders: set[int]
    # How many videos the one message in it asks for; None when that cannot be told.
    wanted: int | None = None
    updates: int = 0
    # Of a single press.
    button: Button | None = None
    presser: int | None = None
    # Who pressed the buttons that accept the terms, and those that erase.
    accepting: set[int] = field(default_factory=set)
    erasing: set[int] = field(default_factory=set)


class Town:
    """Knows from the outside what everybody is owed."""

    def __init__(self, house: House) -> None:
        self.house, self.telegram = house, house.telegram
        self.sent: list[dict[str, Any]] = []
        # By chat, the messages that wait for an answer, with the numbers of their updates.
        self.unanswered: dict[int, list[tuple[int, int]]] = defaultdict(list)
        # Whether everybody may send prompts. Else not every refusal in a group is told.
        self.is_open = True
        # Answers, by chat and number, and how many messages each has answered so far.
        self.answers: Counter[tuple[int, int]] = Counter()
        # By person, prompts that were answered with the terms: once these are accepted, with what becomes of them.
        self.kept: dict[int, list[tuple[int, int]]] = defaultdict(list)
        # Messages that were edited, each as often as it may be explained that this changes nothing.
        self.edited: Counter[tuple[int, int]] = Counter()
        self.buttons: dict[Button, None] = {}
        self.queries: list[str] = []
        self.batch = Batch(set())
        # What became of each row, by what was seen here: "waits", "made" or "lost".
        self.rows: dict[int, str] = {}
        self.owners: dict[int, int] = {}
        self.erasers: set[int] = set()
        self.told: set[int] = set()

    # --- what people do

    def sends(self, update: dict[str, Any], *, wanted: int | None, answered: bool = True) -> None:
        message = update["message"]
        self.sent.append(update)
        self._note(message["from"]["id"])
        self.batch.wanted = wanted
        if answered:
            self.unanswered[message["chat"]["id"]].append((message["message_id"], update["update_id"]))

    def edits(self, update: dict[str, Any]) -> None:
        message = update["edited_message"]
        self.sent.append(update)
        self._note(message["from"]["id"])
        self.edited[message["chat"]["id"], message["message_id"]] = 1

    def presses(self, button: Button, user_id: int) -> None:
        """Also one that is no longer there, on a message that may be gone."""
        query_id = str(4_000_000_000 + len(self.telegram.world.queries))
        with self.telegram.world.bell.changing():
            self.telegram.world.queries[query_id] = Query(button.chat_id, button.message_id)
            shown = self.telegram.world.chats[button.chat_id].message(button.message_id)
            chat = self.telegram.world.chats[button.chat_id].about()
            person = dict(self.telegram.world.users[user_id])
        # Of a message that was deleted only this is left.
        message = shown.data if shown else {"chat": chat, "message_id": button.message_id, "date": 0}
        content = {"id": query_id, "from": person, "message": message, "chat_instance": "1", "data": button.data}
        self.sent.append(self.telegram.inject({"callback_query": json.loads(json.dumps(content))}, replayed=False))
        self.queries.append(query_id)
        self._note(user_id)
        self.batch.button, self.batch.presser = button, user_id
        if button.data.startswith(("terms:", "accept:")):
            self.batch.accepting.add(user_id)
        elif button.data == f"erase:{user_id}":
            self.batch.erasing.add(user_id)

    def _note(self, user_id: int) -> None:
        self.batch.senders.add(user_id)
        self.batch.updates += 1
        self.batch.wanted = self.batch.button = self.batch.presser = None

    # --- what must hold

    @contextmanager
    def handled(self, *, spoken: bool) -> Iterator[None]:
        """Around the bot's look at what people did. spoken: it also answers."""
        before, since = self._snapshot(), self._calls()
        room = {person: self.room(person) for person in PEOPLE}
        yield
        calls, batch, self.batch = self._calls(since), self.batch, Batch(set())
        after = self._snapshot()
        self._sound(calls, *GONE, PRESSED_AGAIN)
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                owner = (after.get(key) or before[key])[0]
                assert owner in batch.senders, f"{key} of {owner} was changed by {batch.senders}"
        new = [pk for kind, pk in after.keys() - before.keys() if kind == "job"]
        self._keep_account(before, after)
        if batch.updates == 1:
            self._check_one(batch, len(new), room, calls)
        self._check_limits()
        self.erasers |= batch.erasing
        for person in batch.accepting | batch.erasing:
            kept = [] if person in batch.erasing else self.kept[person]
            self.kept[person] = []
            self.unanswered[person] = sorted([*kept, *self.unanswered[person]])
        if spoken:
            self._check_answers(calls)
            self._check_toasts()
        self._remember_buttons()

    @contextmanager
    def delivered(self) -> Iterator[None]:
        """Around the courier's round."""
        since = self._calls()
        yield
        calls = self._calls(since)
        self._sound(calls, *GONE)
        rows = Generation.objects.filter(delivery=Delivery.DELIVERED).exclude(pk__in=self.told)
        for row in rows:
            self._check_told(row)
            self.told.add(row.pk)
        outcomes = [call for call in calls if call.status == 200 and call.method in NEW_MESSAGE | EDIT]
        assert len(outcomes) == len(rows), [call.method for call in outcomes]
        self._remember_buttons()

    @contextmanager
    def status_shown(self) -> Iterator[None]:
        """Around a look at the status messages: an edit that changes nothing is one too many."""
        since = self._calls()
        yield
        self._sound(self._calls(since), *GONE)
        self._remember_buttons()

    def drained(self) -> None:
        """Nothing is left to do: everybody was told everything once."""
        waits = {chat: waiting for chat, waiting in self.unanswered.items() if waiting}
        assert not waits, waits
        rows = list(Generation.objects.all())
        assert {row.delivery for row in rows} <= {Delivery.DELIVERED}, [(row.pk, row.delivery) for row in rows]
        events = Counter(GenerationEvent.objects.filter(kind="delivered").values_list("generation_id", flat=True))
        assert events == Counter(row.pk for row in rows)
        assert {pk for pk, state in self.rows.items() if state == "waits"} == set()

    def room(self, user_id: int) -> int:
        """How many more videos the limits let this person ask for, by our own account."""
        policy, own = Policy.current(), Counter(self.rows[pk] for pk in self.rows if self.owners[pk] == user_id)
        waiting = list(self.rows.values()).count("waits")
        spaces = [
            (policy.daily_limit, own["waits"] + own["made"]),
            (policy.waiting_limit, own["waits"]),
            (policy.queue_limit, waiting),
        ]
        return min([limit - used for limit, used in spaces if limit], default=99)

    # --- how each is checked

    def _calls(self, since: int = 0) -> Any:
        """The number of the latest call, or all calls after it."""
        calls = self.telegram.calls()
        if not since:
            return calls[-1].number if calls else 1
        return [call for call in calls if call.number > since]

    def _sound(self, calls: list[Call], *harmless: str) -> None:
        assert self.house.application.bot_data.get(FAILURES, {}) == {}
        for call in calls:
            told = str((call.response or {}).get("description", ""))
            assert call.status == 200 or any(words in told for words in harmless), (call.method, call.params, told)
            media = call.params.get("media")
            caption = media.get("caption", "") if isinstance(media, dict) else call.params.get("caption", "")
            longest = 200 if call.method == "answerCallbackQuery" else 4096
            assert utf16_length(str(call.params.get("text", ""))) <= longest
            assert utf16_length(str(caption)) <= 1024
            markup = call.params.get("reply_markup")
            for row in markup["inline_keyboard"] if isinstance(markup, dict) else ():
                for button in row:
                    assert 1 <= len(button["callback_data"].encode()) <= 64
                    assert button["text"].strip()

    def _snapshot(self) -> dict[tuple[str, int], tuple[Any, ...]]:
        """By kind and number, whose it is, and everything that only its owner may change by messages and presses."""
        asked = Counter(
            GenerationEvent.objects.filter(actor="requester").values_list("generation_id", flat=True).order_by()
        )
        jobs = {
            ("job", row.pk): (
                *(row.requester.user_id, row.status, row.cancel_requested_at, row.prompt, row.seed, row.frames),
                *(row.chat_id, row.file.name, row.priority, asked[row.pk]),
            )
            for row in Generation.objects.select_related("requester")
        }
        people = {
            ("person", person.user_id): (person.user_id, *(getattr(person, name) for name in OF_PEOPLE))
            for person in Requester.objects.all()
        }
        return {**jobs, **people}

    def _keep_account(self, before: dict[Any, Any], after: dict[Any, Any]) -> None:
        for (kind, pk), facts in after.items():
            if kind == "job" and pk not in self.rows:
                self.rows[pk], self.owners[pk] = "waits", facts[0]
            if kind == "job" and facts[1] == Status.CANCELLED:
                self.rows[pk] = "lost"
        for kind, pk in before.keys() - after.keys():
            if kind == "job":
                del self.rows[pk]

    def _check_one(self, batch: Batch, accepted: int, room: dict[int, int], calls: list[Call]) -> None:
        """One thing that one person did: then it is known what must come of it."""
        [sender] = batch.senders
        if batch.wanted is not None and self.is_open:
            assert accepted == max(0, min(batch.wanted, room[sender])), (batch, room)
        if batch.button is not None:
            assert accepted <= max(0, room[sender])
            owner = self.owner_of(batch.button)
            if owner is not None and owner != sender:
                assert accepted == 0
                mine = [call for call in calls if call.chat_id == batch.button.chat_id]
                assert mine == [], "somebody else's press shows nothing but a toast"

    def owner_of(self, button: Button) -> int | None:
        """Whose button it is; None for everybody's, and for those of what is gone."""
        action, *arguments = button.data.split(":")
        if action in {"settings", "history", "erase", "keep_all", "language"}:
            return int(arguments[0])
        if action in {"anyway", "translated", "drop"}:
            asked = AskedPrompt.objects.select_related("requester").filter(pk=int(arguments[0])).first()
            return asked.requester.user_id if asked is not None else None
        if action in OF_JOBS and arguments and arguments[0].isdigit():
            return self.owners.get(int(arguments[0]))
        return None

    def _check_limits(self) -> None:
        policy = Policy.current()
        for person in PEOPLE:
            own = Counter(self.rows[pk] for pk in self.rows if self.owners[pk] == person)
            told = personal.allowance(person)
            assert (told.unfinished, told.today.used) == (own["waits"], own["waits"] + own["made"])
            assert told.unfinished <= (policy.waiting_limit or 99)
            assert told.today.used <= (policy.daily_limit or 999)
        assert Generation.objects.unfinished().count() <= (policy.queue_limit or 999)

    def _check_answers(self, calls: list[Call]) -> None:
        """Each message got one, in order; of equal ones that were answered together the answer says how many."""
        for call in calls:
            if call.status != 200 or call.chat_id is None:
                continue
            chat_id, several = int(call.chat_id), SEVERAL.search(str(call.params.get("text", "")))
            reply = call.params.get("reply_parameters")
            if call.method in NEW_MESSAGE and isinstance(reply, dict):
                number = reply["message_id"]
                if self.telegram.world.chats[chat_id].messages[number].from_bot:
                    # To a press.
                    continue
                waiting = [message_id for message_id, _ in self.unanswered[chat_id]]
                if number not in waiting and self.edited[chat_id, number]:
                    self.edited[chat_id, number] -= 1
                    continue
                assert number in waiting, f"message {number} in {chat_id} is answered again, or out of turn"
                answer = chat_id, int((call.response or {})["result"]["message_id"])
                covered = self._answered(answer, waiting.index(number) + 1, int(several[1]) if several else 1)
                if '"terms:' in json.dumps(call.params.get("reply_markup", "")):
                    self.kept[chat_id] += covered
            elif call.method == "editMessageText" and several is not None:
                # A refusal that is given for one more message.
                answer = chat_id, int(call.params["message_id"])
                more = int(several[1]) - self.answers[answer]
                self._answered(answer, more, more)
        for chat_id, waiting_here in self.unanswered.items():
            for message_id, update_id in waiting_here:
                assert self._needs_no_answer(update_id, chat_id), f"message {message_id} in {chat_id} is not answered"
            waiting_here.clear()

    def _answered(self, answer: tuple[int, int], until: int, number: int) -> list[tuple[int, int]]:
        """The last `number` of those that waited, up to `until`."""
        waiting = self.unanswered[answer[0]]
        assert 0 < number <= until <= len(waiting), (answer, until, number, waiting)
        for message_id, update_id in waiting[: until - number]:
            assert self._needs_no_answer(update_id, answer[0]), f"message {message_id} in {answer} was passed over"
        covered = waiting[until - number : until]
        del waiting[:until]
        self.answers[answer] += number
        return covered

    def _needs_no_answer(self, update_id: int, chat_id: int) -> bool:
        """A prompt whose result is the answer, because it was faster; or one that was erased before its answer."""
        if chat_id < 0 and not self.is_open:
            return True
        row = Generation.objects.filter(request_key=f"update:{update_id}").first()
        return row.is_finished if row is not None else bool(self.erasers & {chat_id, *(PEOPLE if chat_id < 0 else ())})

    def _check_toasts(self) -> None:
        """Each press was answered, so that no button waits for ever; once."""
        told = Counter(str(call.params["callback_query_id"]) for call in self.telegram.calls("answerCallbackQuery"))
        assert told == Counter(self.queries)

    def _check_told(self, row: Generation) -> None:
        message = self._message(row.chat_id, row.delivered_message_id)
        if row.status == Status.SUCCEEDED:
            assert message.kind in {"video", "animation"}
            assert str(row.seed) in message.text
            assert as_shown(message.text).startswith(as_shown(row.prompt)[:20])
        else:
            words = {Status.FAILED: row.public_error, Status.REJECTED: row.public_error}.get(Status(row.status), "")
            assert words in message.text
            assert message.kind == "text"

    def _message(self, chat_id: int | None, message_id: int | None) -> Message:
        message = self.telegram.world.chats[chat_id or 0].message(message_id or 0)
        assert message is not None, f"there is no message {message_id} in chat {chat_id}"
        return message

    def _remember_buttons(self) -> None:
        for chat_id in (*PEOPLE, GROUP, FORUM):
            for message in self.telegram.bot_messages(chat_id):
                for row in message.buttons:
                    for button in row:
                        self.buttons[Button(chat_id, message.id, button["callback_data"])] = None


def as_shown(text: str) -> str:
    """Telegram makes blanks of what nobody can see, and takes those at the ends away."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
