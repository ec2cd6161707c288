"""Text as Telegram sees it: UTF-16 lengths, and the entities it finds by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .errors import Json, bad_request

# What Telegram marks without being asked. The order decides who wins where two overlap.
FOUND_BY_ITSELF = (
    ("url", re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")),
    ("bot_command", re.compile(r"(?<![\w/@<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/<>])")),
    ("mention", re.compile(r"(?<![\w@/])@[A-Za-z0-9_]{3,32}\b")),
    ("hashtag", re.compile(r"(?<![\w#])#\w*[^\W\d]\w*")),
)
# Inside these nothing is looked for.
LITERAL = {"code", "pre", "text_link", "url", "bot_command", "mention", "hashtag"}


def utf16_length(text: str) -> int:
    """How long Telegram thinks a text is: an emoji counts two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def byte_offset(text: str, index: int) -> int:
    """Position in bytes, as parse errors state it."""
    return len(text[:index].encode("utf-8", "surrogatepass"))


@dataclass
class Rich:
    """A text being built, with its entities."""

    text: str = ""
    entities: list[Json] = field(default_factory=list)

    def add(self, kind: str, start: str, **extra: object) -> None:
        """Mark everything after `start` (the text as it was when the entity opened)."""
        offset, end = utf16_length(start), utf16_length(self.text)
        if end > offset:
            self.entities.append({"type": kind, "offset": offset, "length": end - offset, **extra})

    def finish(self) -> Rich:
        """Trim both ends as Telegram does, mark what it finds by itself, and sort."""
        left = utf16_length(self.text) - utf16_length(self.text.lstrip())
        self.text = self.text.strip()
        total = utf16_length(self.text)
        kept = []
        for entity in self.entities:
            start = max(0, entity["offset"] - left)
            end = min(total, entity["offset"] - left + entity["length"])
            if end > start:
                kept.append(entity | {"offset": start, "length": end - start})
        self.entities = sorted(
            kept + find_entities(self.text, kept), key=lambda entity: (entity["offset"], -entity["length"])
        )
        return self


def find_entities(text: str, taken: list[Json]) -> list[Json]:
    """Commands, links, mentions and hashtags outside code and links."""
    busy = [(entity["offset"], entity["offset"] + entity["length"]) for entity in taken if entity["type"] in LITERAL]
    found: list[Json] = []
    for kind, pattern in FOUND_BY_ITSELF:
        for match in pattern.finditer(text):
            start, length = utf16_length(text[: match.start()]), utf16_length(match.group())
            if all(start >= end or start + length <= begin for begin, end in busy):
                busy.append((start, start + length))
                found.append({"type": kind, "offset": start, "length": length})
    return sorted(found, key=lambda entity: int(entity["offset"]))


def given_entities(text: str, entities: list[Json]) -> Rich:
    """A text whose entities the bot lists itself."""
    total = utf16_length(text)
    for entity in entities:
        if not isinstance(entity.get("type"), str):
            raise bad_request('can\'t parse MessageEntity: Field "type" must be of type String')
        offset, length = entity.get("offset"), entity.get("length")
        if not isinstance(offset, int) or not isinstance(length, int) or offset < 0 or length < 0:
            raise bad_request("can't parse MessageEntity: wrong offset or length")
    kept = [dict(entity) for entity in entities if entity["offset"] + entity["length"] <= total]
    return Rich(text, kept)
