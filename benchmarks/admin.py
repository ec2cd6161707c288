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
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.common import commit, describe_device, summary, versions, write_result
from benchmarks.database import database_of_its_own

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
    with database_of_its_own(scratch, options.database, ALLOWED_HOSTS="testserver") as facts:
        from django.core.management import call_command

        call_command("collectstatic", verbosity=0, interactive=False)
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
    """Copies of one row each, by the database itself: objects of a million rows would take many times as long."""
    from django.core.management.color import no_style
    from django.db import connection
    from django.utils import timezone

    from generations.models import REPORT, Generation, GenerationEvent, Requester, Tier

    gold = Tier.objects.create(name="Gold", daily_limit=100)
    person = Requester.objects.create(user_id=10_000_000)
    names = {"display_name": "'Person ' || n", "username": "'person_' || n", "user_id": "t.user_id + n"}
    banned = "CASE WHEN n % 1000 = 1 THEN t.created_at END"
    multiply(
        Requester,
        person.pk,
        people,
        {**names, "banned_at": banned, "tier_id": f"CASE WHEN n % 50 = 2 THEN {gold.pk} END"},
    )
    begin = timezone.now() - SPAN
    usual: dict[str, Any] = {
        "frames": 16,
        "width": 256,
        "height": 256,
        "fps": 8,
        "steps": 50,
        "guidance_scale": 9.0,
        "seed": 1,
    }
    usual |= {"model_name": "demo", "status_text": "Done. " * 20, "sha256": "0" * 64, "chat_id": 1, "queued_at": begin}
    row = Generation.objects.create(request_key="update:0", requester=person, prompt="a", **usual)
    Generation.objects.filter(pk=row.pk).update(created_at=begin)
    multiply(Generation, row.pk, rows, generation(rows, person.pk, people))
    event = GenerationEvent.objects.create(generation=row, kind="queued", actor="gpu-1.12.abcd")
    for kind in ("queued", "started", "delivered"):
        multiply(GenerationEvent, event.pk, rows, {"generation_id": "t.generation_id + n", "kind": f"'{kind}'"})
    number = {"generation_id": f"t.generation_id + n * {REPORTED_EACH}", "kind": f"'{REPORT}'"}
    multiply(GenerationEvent, event.pk, max(1, (rows - 1) // REPORTED_EACH), number if rows > REPORTED_EACH else {})
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [Requester, Generation, GenerationEvent]):
            cursor.execute(statement)
        # Else the planner knows nothing of the new rows, as in no installation.
        cursor.execute("ANALYZE")
    print(f"admin: {rows} rows", file=sys.stderr, flush=True)


def multiply(model: Any, template: int, count: int, changes: dict[str, str]) -> None:
    """Insert copies of a row with changes: SQL of n, which is their number from 1 on, and of the row itself, t."""
    from django.db import connection
    from django.db.models import Max

    last = model.objects.aggregate(last=Max("pk"))["last"]
    table = model._meta.db_table
    columns = [field.column for field in model._meta.concrete_fields]
    values = {"id": f"{last} + n", **changes}
    chosen = ", ".join(values.get(column, f't."{column}"') for column in columns)
    named = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({named}) "
            "WITH RECURSIVE series(n) AS "
            f"(SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM series WHERE n < {count}) "
            f"SELECT {chosen} FROM series, {table} AS t WHERE t.id = {template}"
        )


def generation(rows: int, first_person: int, people: int) -> dict[str, str]:
    """The lot of a row is drawn by a product modulo a prime: the same in every run and on every database."""
    pace = SPAN.total_seconds() / rows
    lot, left = "((n * 7919) % 1009)", f"({rows} - n)"
    ended = f"{left} >= {HELD + WAITING}"
    failed, cancelled = f"{lot} < {FAILED}", f"{lot} < {FAILED + CANCELLED}"
    made = f"{ended} AND NOT {cancelled}"
    status = (
        f"CASE WHEN {left} < {HELD} THEN 'pending_review' WHEN NOT {ended} THEN 'queued' "
        f"WHEN {failed} THEN 'failed' WHEN {cancelled} THEN 'cancelled' ELSE 'succeeded' END"
    )

    def when(condition: str, value: str, otherwise: str = "''") -> str:
        return f"CASE WHEN {condition} THEN {value} ELSE {otherwise} END"

    rare = when("n % 50000 = 7", f"' {RARE}'")
    prompt = ["'a '", one_of(THINGS, 15485863), "' '", one_of(MANNERS, 32452843), "' number '", "n", rare]
    return {
        "request_key": "'update:' || n",
        "requester_id": f"{first_person} + (n * 104729) % {people}",
        "prompt": " || ".join(prompt),
        "seed": "n",
        "preset": f"CASE WHEN {lot} % 100 = 0 THEN 'balanced' WHEN {lot} % 10 = 1 THEN 'fast' ELSE 'exact' END",
        "status": status,
        "delivery": when(ended, "'delivered'", "'none'"),
        "host": when(ended, one_of(("gpu-1", "gpu-2"), 7), "''"),
        "created_at": later(f"n * {pace}"),
        "queued_at": later(f"n * {pace}"),
        "started_at": when(ended, later(f"n * {pace} + 20"), "NULL"),
        "finished_at": when(ended, later(f"n * {pace} + 50"), "NULL"),
        "render_seconds": when(made, f"20 + {lot} / 50.0", "NULL"),
        "public_error": when(f"{ended} AND {failed}", one_of(("Not enough memory.", "It went wrong."), 3)),
        "traceback": when(f"{ended} AND {failed}", f"'Traceback: {'x' * 2000}'"),
        "file": when(made, "'videos/' || n || '.mp4'"),
        "poster": when(made, "'videos/' || n || '.jpg'"),
        "chat_id": "n % 1000 + 1",
        "flagged": "n % 1000 = 3",
        "marked_bad": "n % 5000 = 4",
    }


def one_of(words: tuple[str, ...], factor: int) -> str:
    cases = " ".join(f"WHEN {place} THEN '{word}'" for place, word in enumerate(words))
    return f"(CASE (n * {factor} / 11) % {len(words)} {cases} END)"


def later(seconds: str) -> str:
    """So long after the row that is copied."""
    from django.db import connection

    if connection.vendor == "postgresql":
        return f"t.created_at + ({seconds}) * INTERVAL '1 second'"
    return f"strftime('%Y-%m-%d %H:%M:%f', t.created_at, '+' || ({seconds}) || ' seconds')"


# --- the pages


def addresses(options: argparse.Namespace) -> list[tuple[str, str]]:
    from generations.models import Generation, Tier

    newest = Generation.objects.order_by("-pk").values_list("pk", flat=True)[0]
    made = Generation.objects.filter(status="succeeded").order_by("pk").values_list("pk", flat=True)[options.rows // 3]
    listed = "/admin/generations/generation/"
    filters = {
        "filter_status": "status__exact=failed",
        "filter_held": "status__exact=pending_review",
        "filter_date": "created_at__gte=2026-11-01+00:00:00%2B00:00",
        "filter_preset_rare": "preset=balanced",
        "filter_worker": "host=gpu-2",
        "filter_worker_none": "host=gpu-9",
        "filter_failure": "failure=It+went+wrong.",
        "filter_reported": "reported=yes",
        "filter_flagged": "flagged=yes",
        "filter_marked_bad": "marked=bad",
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
        ("inbox", f"{listed}review/"),
        ("export", f"{listed}export/csv/?status__exact=pending_review"),
        ("person", f"/admin/generations/requester/{Generation.objects.get(pk=made).requester_id}/change/"),
        ("people", "/admin/generations/requester/"),
        ("people_tier", f"/admin/generations/requester/?tier__id__exact={Tier.objects.get(name='Gold').pk}"),
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
        if answer.streaming:
            b"".join(answer.streaming_content)
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
