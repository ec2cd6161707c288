"""What every test may use. The environment of the whole run is set in tests/environment.py."""

from __future__ import annotations

import pytest
from django.conf import LazySettings


@pytest.fixture(autouse=True)
def _own_media_folder(settings: LazySettings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees another test's files."""
    settings.MEDIA_ROOT = str(tmp_path_factory.mktemp("media", numbered=True))
