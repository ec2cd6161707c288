"""The translations of the chat's texts: are they whole (`make lint`), and `make messages` to write down what is new.

Installations have no gettext tools, so the compiled catalogues are kept beside their sources, and both are made here.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "telegram_bot" / "locale"
# Whatever people read stands in one of these; the admin is in English.
PACKAGES = ("telegram_bot", "generations")
# How many texts each takes: one, or one for each number.
KEYWORDS = {"_": 1, "gettext": 1, "gettext_noop": 1, "ngettext": 2}
PLACEHOLDER = re.compile(r"%\((\w+)\)(\w)|%(%)")
BEGUN = datetime(2026, 11, 26, tzinfo=UTC)
HEADER = {
    "project": "text-to-video-on-telegram",
    "version": "0.1.0",
    "header_comment": "# See docs/translations.md.",
    "creation_date": BEGUN,
    "revision_date": BEGUN,
    "last_translator": "the authors",
    "msgid_bugs_address": "the project's issues",
    "fuzzy": False,
}


def template(root: Path = ROOT) -> Catalog:
    """Every text of the code."""
    catalog = Catalog(**HEADER)
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        for text in texts_of(path):
            catalog.add(text, None, [(path.relative_to(root).as_posix(), 0)])
    return catalog


def texts_of(path: Path) -> Iterator[str | tuple[str, ...]]:
    """In their order. From the syntax tree: a tokenizer looks into f-strings from Python 3.12 on only."""
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        number = KEYWORDS.get(getattr(call.func, "id", ""), 0)
        texts = tuple(node.value for node in call.args[:number] if isinstance(node, ast.Constant))
        if number and len(texts) == number:
            yield texts if number > 1 else texts[0]


def sources(locale: Path = LOCALE) -> list[Path]:
    return sorted(locale.glob("*/LC_MESSAGES/django.po"))


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parts[-3])


def compiled(catalog: Catalog) -> bytes:
    content = io.BytesIO()
    write_mo(content, catalog)
    return content.getvalue()


def complaints(path: Path, wanted: Catalog) -> Iterator[str]:
    """What is wrong with one catalogue."""
    catalog = read(path)
    for message in wanted:
        if message.id and message.id not in catalog:
            yield f"is missing: {message.id!r}"
    for message in catalog:
        if not message.id:
            continue
        if message.id not in wanted:
            yield f"is of no use any more: {message.id!r}"
        yield from (f"{fault}: {message.id!r}" for fault in _faults(message, catalog.num_plurals))
    binary = path.with_suffix(".mo")
    if not binary.exists() or binary.read_bytes() != compiled(catalog):
        yield f"{binary.name} was not made from {path.name}"


def _faults(message: Message, plurals: int) -> Iterator[str]:
    translations = [message.string] if isinstance(message.string, str) else list(message.string)
    if len(translations) != (plurals if message.pluralizable else 1):
        yield "has the wrong number of plural forms"
    if message.fuzzy:
        yield "is fuzzy"
    if not all(translations):
        yield "is empty"
    # The plural has every placeholder that the singular has.
    original = message.id[1] if message.pluralizable else message.id
    if any(text and _placeholders(text) != _placeholders(original) for text in translations):
        yield "has other placeholders"


def _placeholders(text: str) -> set[tuple[str, ...]]:
    return set(PLACEHOLDER.findall(text))


def check(root: Path = ROOT) -> list[str]:
    wanted, locale = template(root), root / LOCALE.relative_to(ROOT)
    return [
        f"{path.relative_to(root)}: {complaint}" for path in sources(locale) for complaint in complaints(path, wanted)
    ]


def update(*new: str) -> None:
    """Take in what is new in the code, and compile. Names of locales that do not exist yet are begun."""
    wanted = template()
    for name in new:
        folder = LOCALE / name / "LC_MESSAGES"
        folder.mkdir(parents=True, exist_ok=True)
        write(Catalog(locale=name, language_team=name, **HEADER), folder / "django.po")
    for path in sources():
        catalog = read(path)
        # A translation of nearly the same text is worse than none: nobody looks at it again.
        catalog.update(wanted, no_fuzzy_matching=True, update_creation_date=False)
        write(catalog, path)


def write(catalog: Catalog, path: Path) -> None:
    with path.open("wb") as file:
        # Without line numbers, which would change with every other line of the code.
        write_po(file, catalog, width=110, ignore_obsolete=True, include_lineno=False)
    path.with_suffix(".mo").write_bytes(compiled(read(path)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["update"]:
        update(*sys.argv[2:])
    found = check()
    print("\n".join(found) or "The catalogues are complete.")
    sys.exit(bool(found))
