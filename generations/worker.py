"""The RQ worker of one GPU: in process (a fork would lose the model and break CUDA), with signs of life of its own."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from types import FrameType
from typing import Any

import redis
from django.db import Error as DatabaseError
from django.db import close_old_connections
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from rq import SimpleWorker, worker_registration
from rq.job import Job
from rq.queue import Queue

from generations import attendance, rendering
from generations.sweep import sweep_patiently

logger = logging.getLogger(__name__)

BEAT = 5.0
# RQ adds a minute: so long after its last sign of life Redis forgets an idle worker. /healthz goes by that.
FORGOTTEN_AFTER = 1
# RQ takes a job for abandoned after so many seconds without a beat, not after its whole time limit.
ABANDONED_AFTER = 20
# A render that ends within this time after SIGTERM is kept; another goes back to the queue. Docker kills after 10 s.
GRACE = 4.0


def worker_name() -> str:
    """Never the name of a process that was: RQ refuses that one for minutes after a kill -9."""
    return f"{socket.gethostname()[:60]}.{os.getpid()}.{secrets.token_hex(4)}"


class GenerationWorker(SimpleWorker):
    """Listens on one queue: RQ pops from two or more without its intermediate list, and a kill loses the job."""

    # RQ's own cap of a minute would make "back within a minute" a matter of luck.
    max_connection_wait_time = 10.0
    log_job_description = False
    log_result_lifespan = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Found by key (RQ's dashboard) a worker has its old name; a new one gets a new name.
        kwargs.setdefault("maintenance_interval", 30)
        kwargs.setdefault("worker_ttl", FORGOTTEN_AFTER)
        super().__init__(*args, **kwargs)
        self.stop_asked = False
        # Held while a beat goes out, and when the job ends.
        self._pulse = threading.Lock()
        # A job that ends while Redis restarts must not end the worker with it: four minutes of patience.
        self.connection.set_retry(Retry(ExponentialBackoff(cap=2, base=0.1), 120))

    @property
    def dequeue_timeout(self) -> int:
        """Short, so that maintenance and heartbeats happen on an idle worker too."""
        return 15

    def get_heartbeat_ttl(self, job: Job, *args: Any, **kwargs: Any) -> int:
        return ABANDONED_AFTER

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """With its name in the list of workers, which RQ writes once: a Redis that was wiped has lost it."""
        super().heartbeat(timeout, pipeline)
        worker_registration.register(self, pipeline)
        if device := rendering.device():
            client = self.connection if pipeline is None else pipeline
            client.hset(self.key, attendance.DEVICE, device)

    def perform_job(self, job: Job, queue: Queue, *args: Any) -> bool:
        # Nobody else closes stale connections: there are no requests here.
        close_old_connections()
        done = threading.Event()
        threading.Thread(target=self._beat, args=(done, job, *args), name="rq heartbeat", daemon=True).start()
        try:
            return bool(super().perform_job(job, queue, *args))
        finally:
            done.set()
            close_old_connections()

    def _beat(self, done: threading.Event, job: Job, *args: Any) -> None:
        while not done.wait(BEAT):
            try:
                with self._pulse:
                    if self.execution is not None:
                        self.maintain_heartbeats(job, *args)
            except redis.RedisError as error:
                logger.warning("No heartbeat to Redis: %s", type(error).__name__)

    def cleanup_execution(self, job: Job, pipeline: Any) -> None:
        """Not in the middle of a beat, which speaks of the execution: RQ expects that from a process of its own."""
        with self._pulse:
            super().cleanup_execution(job, pipeline)

    def run_maintenance_tasks(self) -> None:
        """RQ's own, and the sweep: a worker alone, without a bot, puts its dead predecessor's row right too."""
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        close_old_connections()
        try:
            sweep_patiently()
        except DatabaseError as error:
            logger.warning("No sweep: %s", type(error).__name__)
            close_old_connections()

    def kill_horse(self, *args: Any, **kwargs: Any) -> None:
        """The stop button of RQ's dashboard: there is no child to kill, the render stops after its current step."""
        rendering.stop_pressed.set()

    # --- ending

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """SIGTERM or Ctrl-C. A render gets its grace time, then it goes back to the queue; an idle worker ends now."""
        self.stop_asked = True
        grace = threading.Timer(GRACE, rendering.shutdown_due.set)
        grace.daemon = True
        grace.start()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: no grace. RQ would raise SystemExit in the middle of whatever runs."""
        rendering.shutdown_due.set()

    def set_shutdown_requested_date(self) -> None:
        """Not told to Redis: a signal handler must not wait for a server that may be away."""

    def teardown(self) -> None:
        # Saying goodbye is a courtesy; the registration expires by itself.
        self.connection.set_retry(Retry(ExponentialBackoff(), 0))
        try:
            super().teardown()  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            logger.warning("Could not sign off from Redis: %s", type(error).__name__)
