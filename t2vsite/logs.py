"""Log lines that stay one line and never hold a secret."""

from __future__ import annotations

import logging

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


def hide_secrets(text: str) -> str:
    for secret in (settings.BOT_TOKEN, settings.WEBHOOK_SECRET, settings.SECRET_KEY):
        if secret:
            text = text.replace(secret, "***")
    return text
