"""`make lint` finds every translation that is missing, doubtful, or would break when it is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from django.conf import LazySettings
from django.utils.translation import to_locale

from tests import catalogues

GERMAN = Path("telegram_bot/locale/de/LC_MESSAGES/django.po")
COPIED = ("telegram_bot/locale", "telegram_bot/texts", "generations/batch.py")


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the code, with the translations of just that."""
    folder = tmp_path_factory.mktemp("some")
    for name in COPIED:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        source = catalogues.ROOT / name
        shutil.copytree(source, place) if source.is_dir() else shutil.copy(source, place)
    wanted = catalogues.template(folder)
    for path in catalogues.sources(folder / "telegram_bot" / "locale"):
        catalog = catalogues.read(path)
        catalog.update(wanted, no_fuzzy_matching=True)
        catalogues.write(catalog, path)
    assert catalogues.check(folder) == []
    return folder


@pytest.fixture
def copy(some: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(some, tmp_path / "copy"))


def test_every_language_has_a_catalogue(settings: LazySettings) -> None:
    assert {path.parts[-3] for path in catalogues.sources()} == {
        to_locale(code) for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE
    }


def changed(catalog: Catalog, text: str, **values: object) -> None:
    message = catalog[text]
    assert isinstance(message, Message)
    for name, value in values.items():
        setattr(message, name, value)


FAULTS: dict[str, Callable[[Catalog], object]] = {
    "is missing: 'Saved.'": lambda catalog: catalog.delete("Saved."),
    "is empty: 'Saved.'": lambda catalog: changed(catalog, "Saved.", string=""),
    "is fuzzy: 'Saved.'": lambda catalog: changed(catalog, "Saved.", flags={"fuzzy"}),
    "is of no use any more: 'Nobody says this.'": lambda catalog: catalog.add("Nobody says this.", "Niemand."),
    "has other placeholders: 'Seed %(seed)d'": lambda catalog: changed(catalog, "Seed %(seed)d", string="%(sead)d"),
    "has other placeholders: 'On their way: %(number)d.'": lambda catalog: changed(
        catalog, "On their way: %(number)d.", string="In Arbeit."
    ),
    "has other placeholders: ('%(number)d prompt', '%(number)d prompts')": lambda catalog: changed(
        catalog, "%(number)d prompt", string=("%(number)d Prompt", "%(number)s Prompts")
    ),
    "is empty: ('%(number)d prompt', '%(number)d prompts')": lambda catalog: changed(
        catalog, "%(number)d prompt", string=("%(number)d Prompt", "")
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_translation_is_found(copy: Path, fault: str) -> None:
    catalog = catalogues.read(copy / GERMAN)
    FAULTS[fault](catalog)
    catalogues.write(catalog, copy / GERMAN)
    assert catalogues.check(copy) == [f"{GERMAN}: {fault}"]


def test_a_text_that_was_added_to_the_code_is_missing_in_every_language(copy: Path) -> None:
    with (copy / "generations/batch.py").open("a", encoding="utf-8") as file:
        file.write('\nNEW = f"({_(\'in an f-string\')})" + ngettext("one", "many", 2)\n')
    missing = {line.partition("is missing: ")[2] for line in catalogues.check(copy)}
    assert missing == {"'in an f-string'", "('one', 'many')"}
    assert len(catalogues.check(copy)) == 2 * len(catalogues.sources())


def test_a_compiled_catalogue_that_is_older_than_its_source_is_found(copy: Path) -> None:
    text = (copy / GERMAN).read_text(encoding="utf-8")
    (copy / GERMAN).write_text(text.replace('"Gespeichert."', '"Gemerkt."'), encoding="utf-8")
    assert catalogues.check(copy) == [f"{GERMAN}: django.mo was not made from django.po"]
