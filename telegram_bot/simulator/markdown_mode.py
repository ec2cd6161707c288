"""parse_mode=MarkdownV2 and the older Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .entities import Rich, byte_offset
from .errors import ApiError, bad_request

RESERVED = "_*[]()~`>#+-=|{}.!"
MARKS = (("```", "pre"), ("`", "code"), ("||", "spoiler"), ("__", "underline"), ("_", "italic"))
MARKS_V2 = (*MARKS, ("*", "bold"), ("~", "strikethrough"), ("![", "custom_emoji"), ("[", "text_link"))
NAMES = {
    "pre": "PreCode",
    "code": "Code",
    "spoiler": "Spoiler",
    "underline": "Underline",
    "italic": "Italic",
    "bold": "Bold",
    "strikethrough": "Strikethrough",
    "custom_emoji": "CustomEmoji",
    "text_link": "TextUrl",
    "blockquote": "BlockQuote",
}
LINK = re.compile(r"\]\(((?:\\.|[^)\\])*)\)")


@dataclass
class Opened:
    """An entity whose end is still to come."""

    kind: str
    mark: str
    at: int
    before: str


def _no_end(source: str, opened: Opened) -> ApiError:
    offset = byte_offset(source, opened.at)
    return bad_request(f"can't parse entities: Can't find end of {NAMES[opened.kind]} entity at byte offset {offset}")


def _reserved(char: str) -> ApiError:
    return bad_request(
        f"can't parse entities: Character '{char}' is reserved and must be escaped with the preceding '\\'"
    )


def _unescape(text: str) -> str:
    return re.sub(r"\\([\x01-\x7e])", r"\1", text)


def parse_markdown_v2(source: str) -> Rich:
    """Every reserved character is a mark or escaped; marks nest and close in order."""
    rich = Rich()
    stack: list[Opened] = []
    position = 0
    while position < len(source):
        char = source[position]
        inner = stack[-1] if stack else None
        if char == "\\" and position + 1 < len(source) and 0 < ord(source[position + 1]) < 127:
            rich.text += source[position + 1]
            position += 2
        elif inner is not None and inner.kind in {"code", "pre"}:
            position = _literal(source, position, rich, stack)
        elif char == ">" and (position == 0 or source[position - 1] == "\n"):
            if all(entry.kind != "blockquote" for entry in stack):
                stack.append(Opened("blockquote", "", position, rich.text))
            position += 1
        elif char == "\n" and _quote_ends(source, position, stack):
            rich.add("blockquote", stack.pop().before)
            rich.text += char
            position += 1
        elif char not in RESERVED:
            rich.text += char
            position += 1
        else:
            position = _mark(source, position, rich, stack)
    if stack and stack[-1].kind == "blockquote":
        rich.add("blockquote", stack.pop().before)
    if stack:
        raise _no_end(source, stack[-1])
    return rich


def _quote_ends(source: str, position: int, stack: list[Opened]) -> bool:
    return bool(stack) and stack[-1].kind == "blockquote" and not source.startswith("\n>", position)


def _literal(source: str, position: int, rich: Rich, stack: list[Opened]) -> int:
    """Inside code only its own end mark means anything."""
    opened = stack[-1]
    if not source.startswith(opened.mark, position):
        rich.text += source[position]
        return position + 1
    stack.pop()
    if opened.kind == "pre":
        written = source[opened.at + 3 : position]
        language = re.match(r"([^\s`]+)\n", written)
        if language:
            rich.text = opened.before + rich.text[len(opened.before) + language.end() :]
            rich.add("pre", opened.before, language=language.group(1))
            return position + 3
    rich.add(opened.kind, opened.before)
    return position + len(opened.mark)


def _mark(source: str, position: int, rich: Rich, stack: list[Opened]) -> int:
    if stack and stack[-1].kind in {"text_link", "custom_emoji"} and source[position] == "]":
        opened = stack.pop()
        match = LINK.match(source, position)
        if match is None:
            if opened.kind == "text_link" and not source.startswith("](", position):
                # "[x]" alone is text in brackets whose target is its own words.
                rich.add("text_link", opened.before, url=rich.text[len(opened.before) :])
                return position + 1
            raise bad_request(
                f"can't parse entities: Can't find end of a URL at byte offset {byte_offset(source, position + 2)}"
            )
        target = _unescape(match.group(1))
        key = "url" if opened.kind == "text_link" else "custom_emoji_id"
        rich.add(opened.kind, opened.before, **{key: target.removeprefix("tg://emoji?id=")})
        return match.end()
    for mark, kind in MARKS_V2:
        if not source.startswith(mark, position):
            continue
        if stack and stack[-1].mark == mark:
            rich.add(kind, stack.pop().before)
        else:
            stack.append(Opened(kind, mark, position, rich.text))
        return position + len(mark)
    raise _reserved(source[position])


def parse_markdown(source: str) -> Rich:
    """The legacy mode: four marks, no nesting, a backslash saves a mark."""
    rich = Rich()
    position = 0
    while position < len(source):
        char = source[position]
        if char == "\\" and source[position + 1 : position + 2] in {"_", "*", "`", "["}:
            rich.text += source[position + 1]
            position += 2
            continue
        if char not in "_*`[":
            rich.text += char
            position += 1
            continue
        mark = "```" if source.startswith("```", position) else char
        end = source.find("]" if char == "[" else mark, position + len(mark))
        if end < 0:
            offset = byte_offset(source, position)
            raise bad_request(f"can't parse entities: Can't find end of the entity starting at byte offset {offset}")
        position = _legacy_entity(source, position, mark, end, rich)
    return rich


def _legacy_entity(source: str, start: int, mark: str, end: int, rich: Rich) -> int:
    before = rich.text
    inner = source[start + len(mark) : end]
    if mark == "[":
        link = re.compile(r"\]\(([^)]*)\)").match(source, end)
        rich.text += inner
        if link is None:
            return end + 1
        rich.add("text_link", before, url=link.group(1))
        return link.end()
    kind = {"*": "bold", "_": "italic", "`": "code", "```": "pre"}[mark]
    language = re.match(r"([^\s`]+)\n", inner) if mark == "```" else None
    rich.text += inner[language.end() :] if language else inner
    rich.add(kind, before, **({"language": language.group(1)} if language else {}))
    return end + len(mark)
