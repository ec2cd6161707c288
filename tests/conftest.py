"""What every test may use. The environment of the whole run is set in tests/environment.py."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="let the browser test replace the pictures in docs/")


@pytest.fixture(autouse=True)
def _own_media_folder(settings: LazySettings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees another test's files."""
    settings.MEDIA_ROOT = str(tmp_path_factory.mktemp("media", numbered=True))


@pytest.fixture
def installation_folder() -> Iterator[Path]:
    """Short, unlike tmp_path: a unix socket lies in it, and the kernel allows 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="t2v-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
