"""Queue server, worker and bot as real processes on a database of their own, each to be killed, frozen or restarted."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import psycopg.rows
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from generations import embedded
from generations.machine import free_port, serves
from telegram_bot.simulator import Simulator
from tests.faults.engine import Journal
from tests.faults.nursery import Child, Nursery
from tests.installation import ROOT

# Set by tests.faults.run for one chapter: waits as long as those of a real installation, and every variant of a fault.
FULL_LENGTH = os.environ.get("FAULTS_FULL_LENGTH") == "1"
# Leases are ten times as long then.
PATIENCE = 8 if FULL_LENGTH else 1
# Else what waits for minutes in a real installation waits for seconds.
SHORT: dict[str, float] = {
    "generations.models.generation.LEASE": 6,
    "generations.models.generation.DELIVERY_LEASE": 8,
    "generations.lease.BEAT": 1,
    "generations.sweep.CLOCK_JUMP": 2,
    "generations.worker.BEAT": 1,
    "generations.worker.ABANDONED_AFTER": 5,
    "telegram_bot.delivery.ANNOUNCEMENT": 15,
    "telegram_bot.delivery.rows.ANNOUNCEMENT": 15,
    "telegram_bot.lease.LEASE": 6,
    "telegram_bot.lease.RENEW_SECONDS": 1,
    "telegram_bot.process.SWEEP_SECONDS": 1,
    "telegram_bot.process.PAUSE_AFTER_ERROR": 1,
}
# The small disks of the tests would be full from the start.
NEEDED = {"generations.limits.LEAST_FREE": 0.0}
COMMANDS = {"worker": ["rqworker", "gpu"], "bot": ["runbot"], "second worker": ["rqworker", "gpu"]}
WEBHOOK_SECRET = "MARKER-OF-THE-WEBHOOK-SECRET"
READY = {"worker": "Listening on", "second worker": "Listening on", "bot": "is running"}


@dataclass(frozen=True)
class Backend:
    """server: a PostgreSQL URL, or "" for SQLite. queue: a program, Valkey's or Redis's own."""

    server: str
    queue: str

    @property
    def name(self) -> str:
        return f"{'PostgreSQL' if self.server else 'SQLite'} + {self.queue}"


class Template:
    """A migrated, empty database, made once and copied for every test; and where its processes come from."""

    def __init__(self, backend: Backend, folder: Path, nursery: Nursery) -> None:
        self.nursery = nursery
        self.backend, self.file, self.name = backend, folder / "db.sqlite3", f"t2v_faults_{secrets.token_hex(6)}"
        environment = environment_for(folder)
        if backend.server:
            self.on_server(f"CREATE DATABASE {self.name}")
            environment["DATABASE_URL"] = self._url(self.name)
        command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, timeout=300, check=True)

    def copy_to(self, folder: Path) -> str:
        """Returns the new database's URL, "" for SQLite in its usual place."""
        if not self.backend.server:
            shutil.copy(self.file, folder / "db.sqlite3")
            return ""
        name = f"t2v_faults_{secrets.token_hex(6)}"
        self.on_server(f"CREATE DATABASE {name} TEMPLATE {self.name}")
        return self._url(name)

    def drop(self, name: str = "") -> None:
        if self.backend.server:
            self.on_server(f"DROP DATABASE IF EXISTS {name or self.name} WITH (FORCE)")

    def on_server(self, statement: str) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as server:
            server.execute(statement)

    def _url(self, name: str) -> str:
        return urlsplit(self.backend.server)._replace(path=f"/{name}").geturl()


def environment_for(folder: Path) -> dict[str, str]:
    """Nothing of the shell's own settings but the secret key."""
    own = ("DATABASE_URL", "REDIS_URL", "MEDIA_ROOT", "MODEL", "BOT_TOKEN", "TELEGRAM_API_URL", "WEBHOOK_URL")
    own += ("WEBHOOK_SECRET", "TZ", "DJANGO_SETTINGS_MODULE")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    kept.setdefault("SECRET_KEY", "fault-tests-" + "k" * 40)
    return {**kept, "DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1", "DEVICE": "cpu"}


class System:
    """Use as a context. Nothing runs until it is started; everything that was is killed at the end."""

    def __init__(
        self,
        template: Template,
        telegram: Simulator,
        folder: Path,
        *,
        constants: Mapping[str, float] = {},
        engine: str = "stand-in",
        movable_clock: bool = False,
        webhook: bool = False,
        environment: Mapping[str, str] = {},
    ) -> None:
        self.template, self.telegram, self.folder = template, telegram, folder
        self.journal = Journal(folder)
        self.processes: dict[str, subprocess.Popen[bytes] | Child] = {}
        # How much each log held when the process was started.
        self._marks: dict[str, int] = {}
        self.restarts = 0
        self.web_port = free_port()
        self.url = template.copy_to(folder)
        self.environment = environment_for(folder) | {
            "BOT_TOKEN": telegram.token,
            "TELEGRAM_API_URL": telegram.url,
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        self.webhook = f"http://127.0.0.1:{self.web_port}/telegram/webhook/"
        if webhook:
            self.environment |= {"WEBHOOK_URL": self.webhook, "WEBHOOK_SECRET": WEBHOOK_SECRET}
        self._database, self._copies = self.url.rpartition("/")[2], list[str]()
        self.media = Path(self.environment.get("MEDIA_ROOT") or folder / "media")
        if self.url:
            self.environment["DATABASE_URL"] = self.url
        self.socket = folder / "valkey.sock"
        if template.backend.queue == "redis":
            self.environment["REDIS_URL"] = f"unix://{self.socket}?db=0"
        self._wishes = {
            "constants": {**NEEDED, **({} if FULL_LENGTH else SHORT), **constants},
            "folder": str(folder),
            "engine": engine,
            "movable_clock": movable_clock,
        }

    def __enter__(self) -> System:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)
        for name in [self._database, *self._copies]:
            if name:
                self.template.drop(name)

    # --- processes

    def start(self, *names: str) -> None:
        """Start them side by side, and come back when all are ready."""
        for name in names:
            self.launch(name)
        for name in names:
            self.wait_for(lambda: self.is_ready(name) or not self.is_alive(name), f"{name} is ready")  # noqa: B023
            assert self.is_alive(name), f"{name} ended\n{self.report()}"

    def is_ready(self, name: str) -> bool:
        """Has it come up since it was started last?"""
        if name == "queue":
            return embedded.answers(f"unix://{self.socket}")
        if name == "web":
            return serves(self.web_port, "/healthz?only=web")
        return READY[name] in self.log(name, self._marks[name])

    def kill(self, name: str) -> None:
        """kill -9, whatever state it is in."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def terminate(self, name: str) -> int:
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(30)

    def freeze(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def ended(self, name: str) -> tuple[int, float]:
        """Wait for it to end by itself: its exit status, and the seconds of processor time that it took."""
        process = self.processes.pop(name)
        assert isinstance(process, Child)
        return process.wait(120 * PATIENCE), process.seconds

    def is_alive(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def tend(self) -> None:
        """What a supervisor does: start again what has ended by itself."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.restarts += 1
                self.launch(name)

    def log(self, name: str, after: int = 0) -> str:
        """What it has said, from so many bytes on."""
        path = self.folder / f"{name}.log"
        if not path.exists():
            return ""
        with path.open("rb") as log:
            log.seek(after)
            return log.read().decode(errors="replace")

    def children(self, name: str) -> list[int]:
        """Process ids; none when it is not there."""
        pid = self.processes[name].pid if name in self.processes else 0
        try:
            return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    def memory(self, name: str) -> float:
        """Resident megabytes of the process and its children; 0 when it is not there."""
        pid = self.processes[name].pid if name in self.processes else 0
        try:
            states = [Path(f"/proc/{number}/status").read_text() for number in (pid, *self.children(name))]
            return sum(int(state.partition("VmRSS:")[2].split()[0]) for state in states) / 1024
        except (OSError, IndexError):
            return 0.0

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tests.faults.launcher", *arguments]
        result = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment_of("command"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def launch(self, name: str) -> None:
        """Start it and do not wait."""
        path = self.folder / f"{name}.log"
        self._marks[name] = path.stat().st_size if path.exists() else 0
        if name == "queue":
            with path.open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    self._queue_command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
            return
        program = ["tests.faults.launcher", *COMMANDS.get(name, [])]
        if name == "web":
            program = ["gunicorn", "t2vsite.wsgi", "--bind", f"127.0.0.1:{self.web_port}", "--no-control-socket"]
            program += ["--worker-class", "gthread", "--threads", "8", "--log-level", "warning"]
        elif name == "bot" and "WEBHOOK_URL" in self.environment:
            program.append("--webhook")
        self.processes[name] = self.template.nursery.start(*program, environment=self._environment_of(name), log=path)

    def _environment_of(self, name: str) -> dict[str, str]:
        return {**self.environment, "FAULTS": json.dumps({**self._wishes, "name": name})}

    def _queue_command(self) -> list[str]:
        if self.template.backend.queue == "valkey":
            return embedded.valkey_command(self.folder, self.socket)
        home = self.folder / "redis"
        home.mkdir(exist_ok=True)
        return [
            *("redis-server", "--port", "0", "--unixsocket", str(self.socket), "--dir", str(home), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"),
        ]

    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5)

    def rings(self) -> int:
        """Doorbells that no worker has heard yet."""
        with self.redis() as server:
            return int(server.llen("rq:queue:gpu"))

    def ring(self, times: int) -> None:
        """Doorbells that belong to no prompt."""
        with self.redis() as server:
            queue = Queue("gpu", connection=server, serializer=JSONSerializer)
            for _ in range(times):
                queue.enqueue("generations.tasks.run_generations")

    # --- what the database says

    def query(self, statement: str) -> list[dict[str, Any]]:
        """Straight from the database, past the product's own code."""
        if self.url:
            with psycopg.connect(self.url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
                cursor = connection.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=30)) as database, database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(statement)]

    def rows(self) -> list[dict[str, Any]]:
        return self.query("SELECT * FROM generations_generation ORDER BY id")

    def row(self, prompt: str) -> dict[str, Any]:
        [row] = [row for row in self.rows() if row["prompt"] == prompt]
        return row

    def events(self, prompt: str) -> list[str]:
        """The timeline of one job."""
        number = self.row(prompt)["id"]
        found = self.query(f"SELECT kind FROM generations_generationevent WHERE generation_id = {number} ORDER BY id")
        return [row["kind"] for row in found]

    def backup(self) -> str:
        """A copy of the database. Nobody may be using it."""
        if not self.url:
            copy = self.folder / "copy.sqlite3"
            # Not a copy of the file alone: what a killed process wrote last lies beside it.
            with closing(sqlite3.connect(self.folder / "db.sqlite3")) as here, closing(sqlite3.connect(copy)) as there:
                here.backup(there)
            return str(copy)
        name = f"t2v_faults_{secrets.token_hex(6)}"
        self.template.on_server(f"CREATE DATABASE {name} TEMPLATE {self._database}")
        self._copies.append(name)
        return name

    def restore(self, copy: str) -> None:
        if not self.url:
            for path in self.folder.glob("db.sqlite3-*"):
                path.unlink()
            shutil.copy(copy, self.folder / "db.sqlite3")
            return
        self.template.drop(self._database)
        self.template.on_server(f"CREATE DATABASE {self._database} TEMPLATE {copy}")

    # --- waiting

    @staticmethod
    def lasting(short: float, full: float) -> float:
        """Seconds that a fault lasts."""
        return full if FULL_LENGTH else short

    def wait_for(self, happened: Callable[[], object], what: str, seconds: float = 120) -> None:
        """The limit is for a machine that is ten times too slow; on a good one nothing waits that long."""
        seconds *= PATIENCE
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{self.report()}"
            time.sleep(0.05)

    def report(self) -> str:
        """For a test that failed."""
        names = ("id", "prompt", "status", "delivery", "attempt", "worker_deaths", "lease_until", "delivery_error")
        with suppress(Exception):
            lines = [str({name: row[name] for name in names}) for row in self.rows()]
            logs = [f"--- {name}\n{self.log(name)[-3000:]}" for name in ("worker", "second worker", "bot", "queue")]
            return "\n".join([*lines, *logs])
        return "(no report)"


@contextmanager
def made_template(backend: Backend, folder: Path) -> Iterator[Template]:
    with Nursery(folder) as nursery:
        template = Template(backend, folder, nursery)
        try:
            yield template
        finally:
            template.drop()
