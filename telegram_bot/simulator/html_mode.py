"""parse_mode=HTML, as strict as Telegram's."""

from __future__ import annotations

import html
import re

from .entities import Rich, byte_offset
from .errors import ApiError, Json, bad_request

TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "span": "spoiler",
    "tg-spoiler": "spoiler",
    "tg-emoji": "custom_emoji",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
}
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
TAG = re.compile(r"<(/?)([A-Za-z0-9-]*)([^<>]*)>")
ATTRIBUTE = re.compile(r"""\s+([A-Za-z0-9-]+)(?:\s*=\s*("[^"]*"|'[^']*'|[A-Za-z0-9.-]+))?""")
REFERENCE = re.compile(r"&(#x[0-9A-Fa-f]+|#\d+|[a-z]+);")


def _refuse(source: str, index: int, problem: str) -> ApiError:
    return bad_request(f"can't parse entities: {problem} at byte offset {byte_offset(source, index)}")


def _reference(match: re.Match[str]) -> str:
    name = match.group(1)
    if not name.startswith("#"):
        # Telegram knows four names only; others stay as typed.
        return NAMED.get(name, match.group())
    return html.unescape(match.group())


def _attributes(source: str, index: int, tag: str, written: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while written[position:].strip():
        match = ATTRIBUTE.match(written, position)
        if match is None:
            raise _refuse(source, index, f'Expected equal sign in declaration of an attribute of the tag "{tag}"')
        found[match.group(1).lower()] = REFERENCE.sub(_reference, (match.group(2) or "").strip("\"'"))
        position = match.end()
    return found


def _extra(tag: str, attributes: dict[str, str], inner: str) -> Json:
    if tag == "a":
        return {"url": attributes.get("href") or inner}
    if tag == "tg-emoji":
        return {"custom_emoji_id": attributes.get("emoji-id", "")}
    return {}


def parse_html(source: str) -> Rich:
    """Read tags and the four named references; everything odd is an error that says where."""
    rich = Rich()
    open_tags: list[tuple[str, dict[str, str], str]] = []
    position = 0
    while position < len(source):
        start = source.find("<", position)
        if start < 0:
            start = len(source)
        rich.text += REFERENCE.sub(_reference, source[position:start])
        if start == len(source):
            break
        match = TAG.match(source, start)
        if match is None:
            closing = source.startswith("</", start)
            raise _refuse(source, start, "Unclosed end tag" if closing else "Unclosed start tag")
        slash, name, rest = match.group(1), match.group(2).lower(), match.group(3)
        position = match.end()
        if not slash:
            attributes = _attributes(source, start, name, rest) if name in TAGS else {}
            if name not in TAGS:
                raise _refuse(source, start, f'Unsupported start tag "{name}"')
            if name == "span" and attributes.get("class") != "tg-spoiler":
                raise _refuse(source, start, 'Tag "span" must have class "tg-spoiler"')
            open_tags.append((name, attributes, rich.text))
            continue
        if not open_tags:
            raise _refuse(source, start, "Unexpected end tag")
        opened, attributes, before = open_tags.pop()
        if name and name != opened:
            offset = byte_offset(source, start)
            raise bad_request(
                f"can't parse entities: Unmatched end tag at byte offset {offset}, "
                f'expected "</{opened}>", found "</{name}>"'
            )
        _close(rich, opened, attributes, before)
    if open_tags:
        raise bad_request(f"can't parse entities: Can't find end tag corresponding to start tag \"{open_tags[-1][0]}\"")
    return rich


def _close(rich: Rich, tag: str, attributes: dict[str, str], before: str) -> None:
    inner = rich.text[len(before) :]
    kind = "expandable_blockquote" if tag == "blockquote" and "expandable" in attributes else TAGS[tag]
    language = attributes.get("class", "").removeprefix("language-") if tag == "code" else ""
    rich.add(kind, before, **_extra(tag, attributes, inner))
    if tag == "pre" and len(rich.entities) > 1:
        # <pre><code class="language-x"> is one entity that names the language.
        outer, nested = rich.entities[-1], rich.entities[-2]
        if nested["type"] == "code" and (nested["offset"], nested["length"]) == (outer["offset"], outer["length"]):
            rich.entities[-2:] = [outer | ({"language": nested["language"]} if nested.get("language") else {})]
    elif language and rich.entities:
        rich.entities[-1]["language"] = language
