"""Chats, their messages and their topics."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from .errors import ApiError, Json, bad_request

GENERAL_TOPIC = 1


@dataclass
class Message:
    """One message with all its earlier versions, oldest first."""

    data: Json
    from_bot: bool
    history: list[Json] = field(default_factory=list)
    deleted: bool = False
    reactions: list[Json] = field(default_factory=list)

    @property
    def id(self) -> int:
        """Its number in the chat."""
        return int(self.data["message_id"])

    @property
    def text(self) -> str:
        """The text or, under media, the caption."""
        return str(self.data.get("text") or self.data.get("caption") or "")

    @property
    def kind(self) -> str:
        """text, video, animation, photo, document, sticker and so on."""
        return kind_of(self.data)

    @property
    def video(self) -> Json | None:
        """The video, if it is one."""
        video: Json | None = self.data.get("video")
        return video

    @property
    def reply_to(self) -> int | None:
        """The number of the message it answers."""
        reply = self.data.get("reply_to_message")
        return int(reply["message_id"]) if reply else None

    @property
    def buttons(self) -> list[list[Json]]:
        """Rows of inline buttons."""
        rows: list[list[Json]] = self.data.get("reply_markup", {}).get("inline_keyboard", [])
        return rows

    @property
    def texts(self) -> list[str]:
        """Every text it ever showed, oldest first."""
        return [str(data.get("text") or data.get("caption") or "") for data in [*self.history, self.data]]

    def as_json(self) -> Json:
        """For the control interface and the page."""
        return {
            "message": self.data,
            "from_bot": self.from_bot,
            "history": self.history,
            "deleted": self.deleted,
            "reactions": self.reactions,
        }


def kind_of(data: Json) -> str:
    """What a message carries. An animation has a document too, so that is asked last."""
    kinds = ("text", "video", "animation", "photo", "sticker", "voice", "video_note", "audio", "document")
    return next((kind for kind in kinds if kind in data), "service")


@dataclass
class Chat:
    """A private chat, group, supergroup or channel."""

    id: int
    type: str
    names: Json
    is_forum: bool = False
    topics: dict[int, Json] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    next_id: int = 1
    # Set by tests: why the bot may not write here, and where a group went.
    forbidden: str = ""
    migrated_to: int | None = None
    # Who administers it, besides nobody.
    admins: set[int] = field(default_factory=set)
    # The keyboard a bot put in place of the person's own.
    keyboard: Json | None = None

    def about(self) -> Json:
        """The Chat object inside messages."""
        forum = {"is_forum": True} if self.is_forum else {}
        return {"id": self.id, "type": self.type, **self.names, **forum}

    def as_json(self) -> Json:
        """For the control interface and the page."""
        return self.about() | {
            "topics": list(self.topics.values()),
            "forbidden": self.forbidden,
            "keyboard": self.keyboard,
            "last_message": next((entry.data for entry in reversed(self.messages.values()) if not entry.deleted), None),
        }

    def new_id(self) -> int:
        """The next message number."""
        number = self.next_id
        self.next_id += 1
        return number

    def message(self, message_id: int) -> Message | None:
        """A message that is still there."""
        message = self.messages.get(message_id)
        return None if message is None or message.deleted else message

    def check_writable(self) -> None:
        """Whether the bot may write at all."""
        if self.migrated_to is not None:
            raise ApiError(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                {"migrate_to_chat_id": self.migrated_to},
            )
        if self.forbidden:
            raise ApiError(403, self.forbidden)

    def topic_for(self, thread_id: int, reply: Message | None) -> Json:
        """Fields that put a message into a topic; a reply follows the message it answers."""
        if not thread_id and reply is not None and reply.data.get("is_topic_message"):
            thread_id = int(reply.data["message_thread_id"])
        if not thread_id:
            return {}
        topic = self.topics.get(thread_id)
        # General has no thread of its own: its number 1 may not be named.
        if thread_id == GENERAL_TOPIC or topic is None or topic.get("deleted"):
            raise bad_request("message thread not found")
        if topic.get("closed"):
            raise bad_request("TOPIC_CLOSED")
        return {"message_thread_id": thread_id, "is_topic_message": True}


def quoted(message: Message) -> Json:
    """A message as it stands inside another one: without what it answers itself."""
    data: dict[str, Any] = deepcopy(message.data)
    data.pop("reply_to_message", None)
    return data
