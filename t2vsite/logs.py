"""Log lines that stay one line and never hold a secret."""

from __future__ import annotations

import logging
import threading
import time

from django.conf import settings


class OneLineFormatter(logging.Formatter):
    """A message is one line whatever a person typed; only tracebacks may follow on lines of their own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")

    def format(self, record: logging.LogRecord) -> str:
        # The traceback of an HTTP error carries the request's URL, and with it the token.
        return hide_secrets(super().format(record))


class HideSecrets(logging.Filter):
    """Replaces secrets in the message itself, for handlers with another formatter."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        hidden = hide_secrets(message)
        if hidden != message:
            record.msg, record.args = hidden, ()
        return True


class NoFloods(logging.Filter):
    """Django logs every request that it refuses. Strangers can send thousands a second, so a minute has few such lines.

    The first line of the next minute says how many were left out.
    """

    def __init__(self, most: int = 20, seconds: float = 60.0) -> None:
        super().__init__()
        self.most, self.seconds = most, seconds
        self._lock = threading.Lock()
        # Per kind of refusal: when its minute began, and how many lines came since.
        self._minutes: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", None)
        if not isinstance(status, int) or not 400 <= status < 500 or not record.name.startswith("django."):
            return True
        kind, now = (record.name, status), time.monotonic()
        with self._lock:
            began, lines = self._minutes.get(kind, (now, 0))
            left_out = 0
            if now - began >= self.seconds:
                left_out = max(0, lines - self.most)
                began, lines = now, 0
            self._minutes[kind] = (began, lines + 1)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} like this were left out before)", ()
        return lines < self.most


def hide_secrets(text: str) -> str:
    for secret in (settings.BOT_TOKEN, settings.WEBHOOK_SECRET, settings.SECRET_KEY):
        if secret:
            text = text.replace(secret, "***")
    return text
