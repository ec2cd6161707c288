"""How soon /status is answered when 100,000 rows are there, as JSON: the real bot against the stand-in for Telegram.

    python -m benchmarks.status
    python -m benchmarks.status --database postgres://root@127.0.0.1:5432/test
    python -m benchmarks.status --tiny      seconds, to see that it runs; no figures come of it

Two states: everything waits, five prompts a person, and every status message has to be edited; and 200 wait beside
100,000 that are finished. People ask in their own chats, eight a second (Telegram lets a bot send 25), and a stopwatch
runs from the message to the answer. On a busy machine that says little; so the parts of it are also measured by the
time of the processor, PostgreSQL's own included. A database of its own is made beside the given one, and dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import commit, describe_device, versions, write_result
from benchmarks.database import database_of_its_own

PATIENCE = 60.0
# Of a person. The usual limit.
EACH = 5
# So many of the finished rows are made one by one; the others are copies of them.
FIRST = 1000
FIRST_PERSON = 5_000_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.status", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--askers", type=int, default=60)
    parser.add_argument("--per-second", type=float, default=8.0, help="messages (default: 8)")
    parser.add_argument("--database", default="", help="beside which a new one is made (default: SQLite)")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the result to status-DATABASE.json in this folder")
    options = parser.parse_args()
    if options.tiny:
        options.rows, options.askers = 500, 5
    with tempfile.TemporaryDirectory(prefix="t2v-") as scratch:
        result = measure(Path(scratch), options)
    print(json.dumps(result), flush=True)
    if options.out:
        write_result(options.out / f"status-{result['database']['vendor']}.json", result)


def measure(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    with database_of_its_own(scratch, options.database) as facts:
        states = {
            "all_queued": state(options, queued=options.rows, finished=0),
            "few_queued": state(options, queued=min(200, options.rows), finished=options.rows),
        }
    return {
        "benchmark": "/status",
        "commit": commit(),
        "rows": options.rows,
        "shapes": "tiny, no figures" if options.tiny else "as given",
        "askers": options.askers,
        "asked_per_second": options.per_second,
        "measured": "from the message to the answer, in the stand-in; the whole bot runs beside it in one process",
        "states": states,
        "database": facts,
        "device": describe_device("cpu"),
        "versions": versions(),
    }


def state(options: argparse.Namespace, *, queued: int, finished: int) -> dict[str, Any]:
    """Seconds until the answers are there, and what they are made of."""
    from generations.models import Generation, GenerationEvent, Requester
    from telegram_bot.models import ReceivedUpdate
    from telegram_bot.simulator import Simulator

    for model in (ReceivedUpdate, GenerationEvent, Generation, Requester):
        model._default_manager.all()._raw_delete("default")
    people = fill(queued, finished)
    parts = processor_seconds(random.Random(2).sample(people, min(options.askers, len(people))))
    print(f"status, {queued} queued, {finished} finished, of the processor: {parts}", file=sys.stderr, flush=True)
    with Simulator() as telegram:
        furnish(telegram)
        askers = random.Random(1).sample(people, min(options.askers, len(people)))
        taken = asyncio.run(ask(telegram, askers, options.per_second))
        edits = len(telegram.calls("editMessageText"))
    figures = spread(taken)
    print(f"status, {queued} queued, {finished} finished: {figures}", file=sys.stderr, flush=True)
    return {
        "queued": queued,
        "finished": finished,
        "people": len(people),
        "seconds_to_the_answer": figures,
        "status_edits_meanwhile": edits,
        "processor_seconds": parts,
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    p95 = statistics.quantiles(values, n=20, method="inclusive")[-1]
    told = {"median": statistics.median(values), "p95": p95, "worst": max(values)}
    return {name: round(value, 3) for name, value in told.items()}


def fill(queued: int, finished: int) -> list[int]:
    """Returns the people with something in the queue."""
    from django.utils import timezone

    from generations.models import Delivery, Generation, Requester, Status

    waiting = -(-queued // EACH)
    numbers = range(FIRST_PERSON, FIRST_PERSON + max(waiting, -(-finished // 50)))
    Requester.objects.bulk_create([Requester(user_id=number, display_name="Somebody") for number in numbers], 1000)
    people = list(Requester.objects.order_by("user_id"))
    now = timezone.now()
    shape = {"frames": 16, "width": 256, "height": 256, "fps": 8.0, "steps": 50, "guidance_scale": 9.0, "seed": 1}
    done = [
        Generation(
            **{**shape, "request_key": f"done:{number}", "requester": people[number % len(people)]},
            **{"prompt": f"a red circle, {number}", "status": Status.SUCCEEDED, "delivery": Delivery.DELIVERED},
            **{"started_at": now, "finished_at": now, "render_seconds": 100.0, "file": f"{number}.mp4"},
        )
        for number in range(max(min(finished, FIRST), 30))
    ]
    wait = [
        Generation(
            **{**shape, "request_key": f"waits:{person.user_id}", "requester": person, "prompt": "a blue square"},
            **{"queued_at": now, "chat_id": person.user_id, "status_message_id": 1, "status_text": "Queued"},
        )
        for person in people[:waiting]
    ]
    Generation.objects.bulk_create([*done, *wait], 1000)
    for number in range(1, EACH):
        copy(Status.QUEUED, number)
    for number in range(1, finished // FIRST):
        copy(Status.SUCCEEDED, number)
    return [person.user_id for person in people[:waiting]]


def copy(status: str, number: int) -> None:
    """The first of these rows once more: the database does that in a moment."""
    from django.db import connection

    from generations.models import Generation

    columns = [str(field.column) for field in Generation._meta.concrete_fields if not field.primary_key]
    values = {
        "request_key": f"request_key || '/{number}'",
        "status_message_id": f"status_message_id + {number}",
    }
    chosen = ", ".join(values.get(column, column) for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO generations_generation ({', '.join(columns)}) SELECT {chosen} FROM generations_generation "
            "WHERE status = %s AND request_key NOT LIKE %s",
            [status, "%/%"],
        )


def furnish(telegram: Any) -> None:
    """Everybody's chat, with the status messages in it."""
    from generations.models import Generation
    from telegram_bot.simulator.chats import Message

    for chat_id, message_id in Generation.objects.unfinished().values_list("chat_id", "status_message_id"):
        assert message_id is not None, "fill() gave it one"
        chat = telegram.world.add_chat(chat_id)
        about = {"message_id": message_id, "from": telegram.world.bot, "chat": chat.about(), "date": 1_700_000_000}
        chat.messages[message_id] = Message({**about, "text": "Queued"}, from_bot=True)
        chat.next_id = max(chat.next_id, message_id + 1)
    # They are the stand-in's, and the bot is not to be slowed down by Python looking through them for garbage.
    gc.collect()
    gc.freeze()


def processor_seconds(people: list[int]) -> dict[str, dict[str, float]]:
    """What the bot's thread of the database spends: on an answer, and on what an answer may have to wait for."""
    from generations.models import Generation
    from generations.services import Person, Place
    from telegram_bot import commands
    from telegram_bot.asking import Ask
    from telegram_bot.delivery import rows
    from telegram_bot.delivery.outlook import Outlook

    def answer(person: int) -> object:
        return commands.answer(Ask(Person(person), Place(person), "status", "", ""))

    def answer_anew(person: int) -> object:
        Outlook._kept = None
        return answer(person)

    return {
        "answer_with_the_queue_read_anew": spread([spent(answer_anew, person) for person in people]),
        "answer_soon_after_another": spread([spent(answer, person) for person in people]),
        "queue_positions": spread([spent(Generation.objects.queue_positions) for _ in range(10)]),
        "status_messages_to_edit": spread([spent(rows.stale_statuses, turn) for turn in range(10)]),
    }


def spent(work: Callable[..., object], *arguments: object) -> float:
    started = time.thread_time() + of_database()
    work(*arguments)
    return time.thread_time() + of_database() - started


def of_database() -> float:
    """Of PostgreSQL's process for our connection, in hundredths of a second; SQLite works in ours."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0.0
    connection.ensure_connection()
    fields = Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text(encoding="ascii").rpartition(")")
    user, system = fields[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def ask(telegram: Any, people: list[int], per_second: float) -> list[float]:
    from asgiref.sync import sync_to_async
    from django.conf import settings
    from django.db import connections
    from redis import Redis

    from generations.worker import GenerationWorker
    from telegram_bot.process import run_bot

    settings.BOT_TOKEN, settings.TELEGRAM_API_URL = telegram.token, telegram.url
    stop = asyncio.Event()
    with Redis.from_url(settings.REDIS_URL) as redis:
        # With one there, estimates are made.
        GenerationWorker(["gpu"], name="one", connection=redis).register_birth()
        bot = asyncio.create_task(run_bot(stop))
        # It has begun to edit status messages, or found nothing to edit.
        await asyncio.sleep(5)
        answers = []
        for person in people:
            answers.append(asyncio.create_task(answered(telegram, person)))
            await asyncio.sleep(1 / per_second)
        taken = list(await asyncio.gather(*answers))
        stop.set()
        await bot
        redis.flushall()
    await sync_to_async(connections.close_all)()
    return taken


async def answered(telegram: Any, person: int) -> float:
    known = {message.id for message in telegram.bot_messages(person)}
    started = time.perf_counter()
    telegram.say(person, "/status")

    def answer() -> bool:
        return any(message.id not in known for message in telegram.bot_messages(person))

    await telegram.until(answer, PATIENCE)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
