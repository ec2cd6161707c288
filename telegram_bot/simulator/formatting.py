"""Chooses how a text is read: plain, with listed entities, or by parse_mode."""

from __future__ import annotations

import re

from .entities import Rich, given_entities
from .errors import Json, bad_request
from .html_mode import parse_html
from .markdown_mode import parse_markdown, parse_markdown_v2

# Cannot be shown; Telegram turns them into blanks.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")


def parse(text: str, parse_mode: str | None = None, entities: list[Json] | None = None) -> Rich:
    """The text a person will read, or "can't parse entities"."""
    text = CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    match (parse_mode or "").lower():
        case "":
            return given_entities(text, entities or []).finish()
        case "html":
            return parse_html(text).finish()
        case "markdownv2":
            return parse_markdown_v2(text).finish()
        case "markdown":
            return parse_markdown(text).finish()
    raise bad_request("unsupported parse_mode")
