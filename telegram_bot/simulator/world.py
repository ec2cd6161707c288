"""Everything the stand-in remembers, behind one lock."""

from __future__ import annotations

import time
from collections import deque
from copy import deepcopy
from dataclasses import dataclass

from .bell import Bell
from .chats import Chat, Message
from .errors import ApiError, Json, bad_request
from .faults import FaultBook
from .files import FileStore
from .record import Record
from .updates import UpdateQueue

DEFAULT_TOKEN = "1000001:SIMULATOR"
BOT_USERNAME = "simulator_bot"
# What the page may have missed while it reconnects.
KEPT_EVENTS = 5_000


@dataclass
class Query:
    """A button press that waits for answerCallbackQuery."""

    chat_id: int
    message_id: int
    expired: bool = False
    answer: Json | None = None


class World:
    """Users, chats, files, updates, calls and faults of one bot."""

    def __init__(self, token: str = DEFAULT_TOKEN) -> None:
        self.token = token
        self.bell = Bell()
        self.bot: Json = {
            "id": int(token.split(":")[0]),
            "is_bot": True,
            "first_name": "Simulator bot",
            "username": BOT_USERNAME,
        }
        # Starts above where any earlier run ended, so that a page left open notices the restart.
        self._sequence = int(time.time() * 1000)
        self.reset()

    def reset(self) -> None:
        """Forget everything but the token. Numbers of events go on, so that the page notices."""
        with self.bell.changing():
            self.users: dict[int, Json] = {}
            self.chats: dict[int, Chat] = {}
            self.files = FileStore()
            self.updates = UpdateQueue()
            self.faults = FaultBook()
            self.record = Record()
            self.queries: dict[str, Query] = {}
            # The answers to inline queries, and whether BotFather has switched inline mode on.
            self.inline_queries: dict[str, Json | None] = {}
            self.inline_mode = False
            self.commands: dict[str, list[Json]] = {}
            self.profile: Json = {}
            self.events: deque[tuple[int, Json]] = deque(maxlen=KEPT_EVENTS)
            self.emit("reset")

    def now(self) -> int:
        """The time in messages, whole seconds."""
        return int(time.time())

    def emit(self, kind: str, chat: Chat | None = None, **facts: object) -> None:
        """Tell the page. A copy: the message may be edited before the page reads it."""
        self._sequence += 1
        where = {"chat_id": chat.id} if chat is not None else {}
        self.events.append((self._sequence, deepcopy({"type": kind, **where, **facts})))

    @property
    def sequence(self) -> int:
        """The number of the newest event."""
        return self._sequence

    # people and chats

    def add_user(self, user_id: int, first_name: str = "", **names: str | None) -> Json:
        """A person, made on first mention; names given later replace earlier ones."""
        known = self.users.get(user_id) or {
            "id": user_id,
            "is_bot": False,
            "first_name": f"User {user_id}",
            "language_code": "en",
        }
        if first_name:
            known["first_name"] = first_name
        known |= {key: value for key, value in names.items() if value is not None}
        self.users[user_id] = known
        return known

    def add_chat(self, chat_id: int, kind: str = "", title: str = "", is_forum: bool = False) -> Chat:
        """A chat, made on first mention: private for positive numbers, else a supergroup."""
        chat = self.chats.get(chat_id)
        if chat is not None:
            return chat
        kind = kind or ("private" if chat_id > 0 else "supergroup")
        if kind == "private":
            user = self.add_user(chat_id)
            names: Json = {key: user[key] for key in ("first_name", "last_name", "username") if key in user}
        else:
            names = {"title": title or f"Group {abs(chat_id)}"}
        chat = Chat(chat_id, kind, names, is_forum)
        self.chats[chat_id] = chat
        self.emit("chat", chat, about=chat.as_json())
        return chat

    def find_chat(self, chat_id: object) -> Chat:
        """The chat a method names, by number or @username."""
        if chat_id is None or chat_id == "":
            raise bad_request("chat_id is empty")
        for chat in self.chats.values():
            name = chat.names.get("username")
            if str(chat.id) == str(chat_id) or (name and f"@{name}".lower() == str(chat_id).lower()):
                return chat
        raise bad_request("chat not found")

    # messages

    def post(self, chat: Chat, sender: Json, content: Json, message_id: int | None = None) -> Message:
        """Add a message and show it on the page."""
        number = chat.new_id() if message_id is None else message_id
        chat.next_id = max(chat.next_id, number + 1)
        # Posts in a channel come from the channel, whoever wrote them.
        author = {"sender_chat": chat.about()} if chat.type == "channel" else {"from": dict(sender)}
        data: Json = {"message_id": number, **author, "chat": chat.about(), "date": self.now(), **content}
        message = Message(data, bool(sender.get("is_bot")))
        chat.messages[number] = message
        self.emit("message", chat, entry=message.as_json())
        return message

    def change(self, chat: Chat, message: Message, data: Json) -> Message:
        """Replace a message's content and keep the old one."""
        message.history.append(message.data)
        message.data = data | {"edit_date": self.now()}
        self.emit("message", chat, entry=message.as_json())
        return message

    def delete(self, chat: Chat, message: Message) -> None:
        """Take a message out of sight; the record keeps it."""
        message.deleted = True
        self.emit("deleted", chat, message_id=message.id)

    # button presses

    def answer(self, query_id: str, answer: Json) -> None:
        """Answer a press once, and in time."""
        query = self.queries.get(query_id)
        if query is None or query.expired or query.answer is not None:
            raise ApiError(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        query.answer = answer
        self.emit("answer", self.chats[query.chat_id], message_id=query.message_id, answer=answer)
