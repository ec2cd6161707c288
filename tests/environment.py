"""Loaded by `-p tests.environment` (pyproject.toml), before pytest-django reads the settings; a conftest is too late.

Every test process gets a DATA_DIR of its own, so that no test touches var/. Everything else that settings.py reads is
taken away, so that a developer's shell cannot change a result. DATABASE_URL and REDIS_URL stay when TEST_ON_SERVICES=1
says that they are there to be emptied, as the second CI pass does.
"""

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

CLEARED = [
    "ALLOWED_HOSTS",
    "BOT_TOKEN",
    "BOT_TOKEN_FILE",
    "CSRF_TRUSTED_ORIGINS",
    "DEBUG",
    "MEDIA_ROOT",
    "MODEL",
    "SECRET_KEY_FILE",
    "TELEGRAM_API_URL",
    "TRANSLATOR",
    "TZ",
    "WEBHOOK_SECRET",
    "WEBHOOK_SECRET_FILE",
    "WEBHOOK_URL",
]

for name in ("DATABASE_URL", "REDIS_URL"):
    if os.environ.get(name) and os.environ.get("TEST_ON_SERVICES") != "1":
        # It may well be the real one, and tests empty the queue.
        raise pytest.UsageError(f"{name} is set. Unset it, or set TEST_ON_SERVICES=1 if tests may empty it.")

# Processes of one run (make test starts several) must not empty each other's queue: each takes a database of its own.
server, _, database = os.environ.get("REDIS_URL", "").rpartition("/")
worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
if database.isdigit():
    os.environ["REDIS_URL"] = f"{server}/{int(database) + int(worker.removeprefix('gw'))}"

for name in CLEARED:
    os.environ.pop(name, None)

# Short on purpose: the embedded queue's unix socket lies in it, and the kernel allows 107 characters.
DATA_DIR = Path(tempfile.mkdtemp(prefix="t2v-test-"))
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)

os.environ["DATA_DIR"] = str(DATA_DIR)
os.environ["DEVICE"] = "cpu"
os.environ["SECRET_KEY"] = secrets.token_urlsafe(50)
# One thread per process: several processes render at once here, and torch's threads wait for each other by spinning.
# Results must not depend on the number of cores either.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# PostgreSQL need not wait for the disk at each commit, 0.3 ms instead of 4.6: no test pulls the plug of the server.
os.environ.setdefault("PGOPTIONS", "-c synchronous_commit=off")
