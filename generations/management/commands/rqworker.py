"""Ours over django-rq's (INSTALLED_APPS names generations first): theirs ignores the queue's serializer setting."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import closing
from typing import Any

import django_rq
import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from rq.exceptions import StopRequested

from generations import rendering, tasks
from generations.engine.base import CheckpointError, EngineError
from generations.worker import GenerationWorker, worker_name

logger = logging.getLogger(__name__)

# EX_CONFIG: trying again at once would not help, and the supervisor does not.
REFUSED_TO_START = 78
LONGEST_PAUSE = 15.0


class Command(BaseCommand):
    help = "Render queued videos: load the model once, then work until told to stop. One worker per GPU."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue", nargs="*", help=f"the queue to work on; default: {tasks.QUEUE}")
        parser.add_argument("--burst", action="store_true", help="end when the queue is empty")
        parser.add_argument("--max-jobs", type=int, help="end after so many jobs")

    def handle(self, *args: Any, **options: Any) -> None:
        queue = one_queue(options["queue"])
        load_or_refuse()
        # The loading took a while; the first query must not meet a connection that has gone stale.
        connections.close_all()
        try:
            work(queue, burst=options["burst"], max_jobs=options["max_jobs"])
        except (StopRequested, KeyboardInterrupt):
            logger.info("stopped")


def one_queue(names: list[str]) -> str:
    if len(names) > 1:
        raise CommandError(
            "Give one queue per worker: with two, RQ pops without its safety list, and a kill can lose a job. "
            "Start one worker for each."
        )
    name = names[0] if names else tasks.QUEUE
    if name not in settings.RQ_QUEUES:
        raise CommandError(f"There is no queue called {name!r}; there is: {', '.join(settings.RQ_QUEUES)}.")
    return name


def load_or_refuse() -> None:
    """Load the model, or end the process with every fault on a line of its own and no job taken."""
    try:
        rendering.preload()
    except CheckpointError as error:
        logger.error("refused to start: the model folder has %s fault(s)", len(error.problems))
        for problem in error.problems:
            logger.error("refused to start: %s", problem)
        sys.exit(REFUSED_TO_START)
    except EngineError as error:
        logger.error("refused to start: %s", error)
        sys.exit(REFUSED_TO_START)


def work(queue_name: str, *, burst: bool = False, max_jobs: int | None = None) -> None:
    """Work until asked to stop. RQ's worker gives up on some Redis troubles; the model is too dear to lose with it."""
    pause = 1.0
    while True:
        try:
            queue = django_rq.get_queue(queue_name)
            # Closed here: after an error RQ leaves some of its connections open.
            with closing(queue.connection):
                worker = GenerationWorker(
                    [queue], name=worker_name(), connection=queue.connection, serializer=queue.serializer
                )
                worked = worker.work(burst=burst, max_jobs=max_jobs, logging_level=None)
            if worker.stop_asked or burst or max_jobs is not None:
                return
            pause = 1.0 if worked else pause
        except redis.RedisError as error:
            if burst:
                raise CommandError(f"Redis does not answer: {type(error).__name__}") from error
            logger.warning("Redis does not answer (%s); trying again in %.0f s", type(error).__name__, pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
