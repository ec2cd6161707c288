"""What `manage.py check` says before something goes wrong later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from generations import checks


def ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def test_an_installation_with_the_defaults_has_nothing_to_complain_about() -> None:
    assert [message for message in run_checks() if str(message.id).startswith("generations.")] == []


@pytest.mark.parametrize(("name", "number"), [("DATA_DIR", "1"), ("MEDIA_ROOT", "2")])
def test_a_folder_that_cannot_be_written_is_named(name: str, number: str, settings: Any, tmp_path: Path) -> None:
    # A file in the way, because root may write everywhere.
    (tmp_path / "file").touch()
    setattr(settings, name, tmp_path / "file" / "below")
    [message] = checks.folders_are_writable()
    assert message.id == f"generations.E00{number}"
    assert message.msg.startswith(name)
    assert message.hint


def test_a_folder_that_is_not_there_yet_is_fine(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "new" / "media"
    assert checks.folders_are_writable() == []


def test_a_model_folder_that_does_not_exist_is_named(settings: Any, tmp_path: Path) -> None:
    settings.MODEL = str(tmp_path / "nothing")
    assert ids(checks.model_can_be_read()) == ["generations.E003"]


def test_a_configuration_that_is_no_configuration_is_named(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "configuration.json").write_text("<html>404</html>")
    settings.MODEL = str(tmp_path)
    assert ids(checks.model_can_be_read()) == ["generations.E004"]


def test_a_hub_id_is_fine_before_it_is_fetched(settings: Any) -> None:
    settings.MODEL = "iic/text-to-video-synthesis"
    assert checks.model_can_be_read() == []


def test_debug_with_a_real_database_is_warned_of(settings: Any) -> None:
    settings.DEBUG, settings.EMBEDDED_DATABASE = True, False
    assert ids(checks.debug_is_for_development()) == ["generations.W001"]


def test_a_shared_queue_with_sqlite_is_warned_of(settings: Any) -> None:
    settings.EMBEDDED_DATABASE, settings.EMBEDDED_REDIS = True, False
    assert ids(checks.one_machine_has_one_database()) == ["generations.W002"]
