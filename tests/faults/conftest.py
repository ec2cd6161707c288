"""On SQLite and the embedded Valkey; where the run names PostgreSQL and Redis, on those."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from telegram_bot.simulator import Simulator
from tests.faults.account import Account, count, settled
from tests.faults.system import Backend, System, Template, made_template

# What must never be read in any log.
TOKEN = "1000001:MARKER-OF-THE-FAULT-TESTS"

StartSystem = Callable[..., System]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.services)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    redis = bool(os.environ.get("REDIS_URL")) and shutil.which("redis-server") is not None
    database, queue = os.environ.get("DATABASE_URL", ""), "redis" if redis else "valkey"
    # tests.faults.run says it without meaning this very process.
    backend = Backend(os.environ.get("FAULTS_DATABASE") or database, os.environ.get("FAULTS_QUEUE") or queue)
    with tempfile.TemporaryDirectory(prefix="t2v-") as folder, made_template(backend, Path(folder)) as template:
        yield template


@pytest.fixture
def telegram() -> Iterator[Simulator]:
    with Simulator(TOKEN) as simulator:
        yield simulator


@pytest.fixture
def new_system(template: Template, telegram: Simulator, installation_folder: Path) -> Iterator[StartSystem]:
    """Nothing of it runs yet."""
    with ExitStack() as stack:

        def make(**wishes: Any) -> System:
            return stack.enter_context(System(template, telegram, installation_folder, **wishes))

        yield make


@pytest.fixture
def system(new_system: StartSystem) -> System:
    """Queue, worker and bot, ready."""
    system = new_system()
    system.start("queue", "worker", "bot")
    return system


def settle(system: System, seconds: float = 120) -> Account:
    """Wait until nothing is under way, and count. Fails unless every job has exactly one outcome."""
    system.wait_for(lambda: settled(system), "every job has ended and was told", seconds)
    account = count(system)
    assert not account.problems, "\n".join([*account.problems, system.report()])
    return account


def is_still_serving(system: System) -> None:
    """Whatever happened: the next person is answered, and gets a video."""
    someone, prompt = 990_000 + len(system.rows()), "the next person's prompt"
    system.telegram.say(someone, prompt)
    system.wait_for(
        lambda: any(message.video for message in system.telegram.bot_messages(someone)), "the next person is served"
    )
