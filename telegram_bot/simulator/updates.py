"""The queue of updates: what waits, who may fetch it, and the webhook's settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .errors import ApiError, Json, bad_request

FIRST_ID = 100_001
# Kinds that Telegram sends only when they are asked for by name.
ON_REQUEST = {"chat_member", "message_reaction", "message_reaction_count"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")


@dataclass
class Waiting:
    """An update that is not confirmed yet."""

    update: Json
    # Delivered once whatever the offset: how tests send an old number again.
    replayed: bool = False

    @property
    def id(self) -> int:
        """Its update_id."""
        return int(self.update["update_id"])


@dataclass
class Webhook:
    """Where updates are posted, if anywhere."""

    url: str = ""
    secret_token: str = ""
    max_connections: int = 40
    last_error_date: int = 0
    last_error_message: str = ""
    # Grows with every setWebhook, so that a delivery under way notices.
    generation: int = 0


@dataclass
class UpdateQueue:
    """Updates in order of arrival."""

    waiting: list[Waiting] = field(default_factory=list)
    webhook: Webhook = field(default_factory=Webhook)
    allowed: set[str] = field(default_factory=set)
    next_id: int = FIRST_ID
    # The number of the newest poll: an older one that still waits has lost.
    poll: int = 0

    def push(self, kind: str, payload: Json) -> Json:
        """Queue an update unless the bot does not want its kind; give it either way."""
        update = {"update_id": self.next_id, kind: payload}
        self.next_id += 1
        if self._wanted(kind):
            self.waiting.append(Waiting(update))
        return update

    def inject(self, update: Json, replayed: bool = True) -> Json:
        """Queue an update exactly as given; only a missing update_id is filled in."""
        if "update_id" not in update:
            update = {"update_id": self.next_id, **update}
        self.next_id = max(self.next_id, int(update["update_id"]) + 1)
        self.waiting.append(Waiting(update, replayed))
        return update

    def _wanted(self, kind: str) -> bool:
        return kind in self.allowed if self.allowed else kind not in ON_REQUEST

    def allow(self, kinds: list[Any] | None) -> None:
        """Remember allowed_updates; absent leaves the last choice, an empty list restores the default."""
        if kinds is not None:
            self.allowed = {str(kind) for kind in kinds}

    def begin_poll(self) -> int:
        """Start a poll and end the one before it, as Telegram does."""
        if self.webhook.url:
            raise ApiError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )
        self.poll += 1
        return self.poll

    def check_poll(self, poll: int) -> None:
        """Tell a poll that another one took its place."""
        if poll != self.poll:
            raise ApiError(
                409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
            )
        if self.webhook.url:
            raise ApiError(409, "Conflict: terminated by setWebhook request")

    def confirm(self, offset: int) -> None:
        """Forget updates below `offset`; a negative one keeps only that many of the newest."""
        if offset < 0:
            self.waiting = self.waiting[offset:]
        elif offset > 0:
            self.waiting = [entry for entry in self.waiting if entry.replayed or entry.id >= offset]

    def fetch(self, limit: int) -> list[Json]:
        """The oldest updates. A replayed one counts as plain from now on."""
        taken = self.waiting[: max(1, min(limit or 100, 100))]
        for entry in taken:
            entry.replayed = False
        return [entry.update for entry in taken]

    def remove(self, update: Json) -> None:
        """The webhook took it."""
        self.waiting = [entry for entry in self.waiting if entry.update is not update]

    def set_webhook(self, url: str, secret_token: str, max_connections: int, drop: bool) -> None:
        """Switch to posting; an empty address switches back to polling."""
        if url:
            check_webhook_url(url)
        if secret_token and not SECRET.fullmatch(secret_token):
            raise bad_request("secret token contains unallowed characters")
        if drop:
            self.waiting.clear()
        generation = self.webhook.generation + 1
        self.webhook = Webhook(url, secret_token, max_connections or 40, generation=generation)

    def webhook_info(self) -> Json:
        """The answer of getWebhookInfo."""
        info: Json = {
            "url": self.webhook.url,
            "has_custom_certificate": False,
            "pending_update_count": len(self.waiting),
        }
        if self.webhook.url:
            info |= {"max_connections": self.webhook.max_connections, "ip_address": "127.0.0.1"}
        if self.webhook.last_error_message:
            info |= {
                "last_error_date": self.webhook.last_error_date,
                "last_error_message": self.webhook.last_error_message,
            }
        if self.allowed:
            info["allowed_updates"] = sorted(self.allowed)
        return info


def check_webhook_url(url: str) -> None:
    """The stand-in posts to this machine only, over http or https."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise bad_request("bad webhook: invalid URL") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise bad_request("bad webhook: an HTTPS URL must be provided for webhook")
    if host not in LOOPBACK:
        raise bad_request("bad webhook: the simulator posts to loopback addresses only")
