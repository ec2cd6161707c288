"""What every test may use. The environment of the whole run is set in tests/environment.py."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test import TransactionTestCase
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from redis import Redis

from tests.valkey import own_valkey

# Made once by the migrations, and never changed by a test.
KEPT_TABLES = {"django_migrations", "django_content_type", "auth_permission"}

# The same examples in every run, and few; --hypothesis-profile=full for as many as the figures in
# docs/ come from: what fails there is shown as it is, for to make it shorter takes many times as long.
_COMMON: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
hypothesis_settings.register_profile(
    "quick", derandomize=True, max_examples=4, stateful_step_count=15, print_blob=False, **_COMMON
)
hypothesis_settings.register_profile(
    "full",
    max_examples=60,
    stateful_step_count=50,
    report_multiple_bugs=False,
    phases=[Phase.generate],
    **_COMMON,
)
hypothesis_settings.load_profile("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="let the browser test replace the pictures in docs/")


@pytest.fixture(autouse=True)
def _own_media_folder(settings: LazySettings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees another test's files."""
    settings.MEDIA_ROOT = str(tmp_path_factory.mktemp("media", numbered=True))


@functools.cache
def tables_to_empty() -> list[str]:
    return sorted(set(connection.introspection.django_table_names(only_existing=True)) - KEPT_TABLES)


def empty_tables() -> None:
    # Foreign keys are checked at the end of the transaction.
    with transaction.atomic(), connection.cursor() as cursor:
        for table in tables_to_empty():
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@pytest.fixture(scope="session", autouse=True)
def _quick_cleaning() -> Iterator[None]:
    """After a test that commits, empty the tables.

    Django's own way truncates them, which makes new files for each on PostgreSQL, and then makes all permissions anew:
    most of such a test's time.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: empty_tables())
        yield


@pytest.fixture
def installation_folder() -> Iterator[Path]:
    """Short, unlike tmp_path: a unix socket lies in it, and the kernel allows 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="t2v-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_queue_server(settings: LazySettings) -> Iterator[Redis]:
    """A queue server of the test's own, in the place of the one that all share."""
    with own_valkey() as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.port}/0"
        with Redis.from_url(settings.REDIS_URL) as client:
            yield client
