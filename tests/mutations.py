"""Takes fixes out of a copy of the tree, one at a time, and shows that a test turns red for each.

python -m tests.mutations                   all of them; serially, about ten seconds each
python -m tests.mutations --list
python -m tests.mutations --only 46         those whose name holds these words

Each is named after its case in docs/known_bugs.md. Ends with 0 when every named test was green before and red after.
What only PostgreSQL has is tried where the services of the second CI pass are named (TEST_ON_SERVICES, DATABASE_URL).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Many times what a test takes on a busy machine.
PATIENCE = 180.0


@dataclass(frozen=True)
class Mutation:
    """old occurs once in file; with new in its place, node fails."""

    name: str
    file: str
    old: str
    new: str
    node: str
    postgresql: bool = False


WORKER = "tests/generations/test_rqworker.py"
TASKS = "tests/generations/test_tasks.py"
STATES = "tests/generations/test_states.py"
SWEEP = "tests/generations/test_sweep.py"
REPORTED = "tests/telegram_bot/test_known_bugs.py"
ERRORS = "tests/telegram_bot/test_delivery_errors.py"
GROUPS = "tests/telegram_bot/test_groups.py"
ODD = "tests/telegram_bot/test_odd_updates.py"

MUTATIONS = [
    Mutation(
        "25 RQ's worker that forks for every job",
        "generations/worker.py",
        "class GenerationWorker(SimpleWorker):\n",
        'class GenerationWorker(__import__("rq").Worker):\n',
        f"{WORKER}::test_a_video_is_made_in_the_very_process_that_holds_the_model",
    ),
    Mutation(
        "26 the model is loaded for every job",
        "generations/rendering.py",
        "    maker = engine()\n",
        "    maker = load_engine(settings.MODEL, settings.DEVICE)\n",
        f"{WORKER}::test_three_prompts_in_a_row_load_the_model_once",
    ),
    Mutation(
        "28 nobody sweeps while no worker runs",
        "telegram_bot/process.py",
        '        part(unless(stop, keep_going(stop, "sweep", put_right, SWEEP_SECONDS))),\n',
        "",
        f"{REPORTED}::test_a_job_whose_worker_is_dead_and_gone_is_told_by_the_bot_alone",
    ),
    Mutation(
        "28 a prompt may kill workers for ever",
        "generations/models/generation.py",
        "        if deaths >= MAX_WORKER_DEATHS:\n",
        "        if False:\n",
        f"{STATES}::test_two_worker_deaths_on_one_prompt_end_it_with_a_message",
    ),
    Mutation(
        "29 a starting worker does not look for lost jobs",
        "generations/worker.py",
        "            sweep_patiently()\n",
        "            pass\n",
        f"{WORKER}::test_a_stop_between_taking_a_job_and_beginning_it_loses_nothing",
    ),
    Mutation(
        "31 a queued row without a job stays as it is",
        "generations/sweep.py",
        "        rang = tasks.ring_if_silent()\n",
        "        pass\n",
        f"{SWEEP}::test_a_prompt_whose_bell_redis_forgot_is_rung_again_once",
    ),
    Mutation(
        "32 an update that does not ask who holds the row",
        "generations/models/generation.py",
        "Generation.objects.filter(only, pk=self.pk).update(**changes) == 1",
        "Generation.objects.filter(pk=self.pk).update(**changes) == 1",
        f"{STATES}::test_a_worker_whose_lease_was_given_away_cannot_write",
    ),
    Mutation(
        "34 a worker that RQ has ended stays ended",
        "generations/management/commands/rqworker.py",
        "            if worker.stop_asked or burst or max_jobs is not None:\n",
        "            if True:\n",
        f"{WORKER}::test_a_worker_that_rq_has_ended_is_replaced_in_the_same_process",
    ),
    Mutation(
        "34 a start without Redis is the end",
        "generations/management/commands/rqworker.py",
        "            if burst:\n",
        "            if True:\n",
        f"{WORKER}::test_a_worker_that_starts_before_redis_waits_for_it",
    ),
    Mutation(
        "34 a worker is named after its machine and process alone",
        "generations/worker.py",
        "{os.getpid()}.{secrets.token_hex(4)}",
        "{os.getpid()}",
        f"{WORKER}::test_no_two_workers_ever_have_the_same_name",
    ),
    Mutation(
        "35 nobody looks for a cancel between steps",
        "generations/rendering.py",
        "            if self.row.cancel_wanted(self.owner) or self.row.pk in self.lease.lost:\n",
        "            if self.row.pk in self.lease.lost:\n",
        f"{WORKER}::test_a_render_is_cancelled_though_redis_was_away_meanwhile",
    ),
    Mutation(
        "37 only a lost connection to Redis is forgiven",
        "generations/tasks.py",
        "    except redis.RedisError as error:\n        # The row is committed",
        "    except redis.ConnectionError as error:\n        # The row is committed",
        f"{TASKS}::test_a_redis_that_takes_no_write_does_not_lose_the_prompt",
    ),
    Mutation(
        "38 the bell rings inside the transaction",
        "generations/tasks.py",
        "    transaction.on_commit(lambda: _enqueue(job_id))\n",
        '    django_rq.get_queue(QUEUE, commit_mode="auto").enqueue(JOB, job_id=job_id, **_KEPT)\n',
        "tests/generations/test_services.py::test_no_bell_rings_when_the_transaction_is_rolled_back",
    ),
    Mutation(
        "38 the bell rings after the commit, and nobody is there when it fails",
        "generations/tasks.py",
        "    transaction.on_commit(lambda: _enqueue(job_id))\n",
        "    _enqueue(job_id)\n",
        f"{TASKS}::test_what_was_accepted_while_redis_was_full_is_rung_for_when_there_is_room",
    ),
    Mutation(
        "40 the worker keeps a connection that the database has dropped",
        "generations/worker.py",
        "from django.db import close_old_connections\n",
        "from django.db import reset_queries as close_old_connections\n",
        f"{WORKER}::test_a_connection_that_the_database_dropped_between_two_videos_is_replaced",
        postgresql=True,
    ),
    Mutation(
        "40 a finished video is given up at the first database error",
        "generations/lease.py",
        "            if connection.in_atomic_block or time.monotonic() > deadline:\n",
        "            if True:\n",
        f"{TASKS}::test_a_short_database_outage_does_not_cost_the_video",
    ),
    Mutation(
        "41 SQLite's transactions take the write lock late",
        "t2vsite/settings.py",
        '            "transaction_mode": "IMMEDIATE",\n',
        '            "transaction_mode": "DEFERRED",\n',
        f"{TASKS}::test_twenty_people_write_while_progress_is_published_and_nobody_is_turned_away",
    ),
    Mutation(
        "41 one transaction around the whole render",
        "generations/rendering.py",
        "    with LeaseKeeper(rows, owner) as lease:\n",
        '    with __import__("django.db").db.transaction.atomic(), LeaseKeeper(rows, owner) as lease:\n',
        f"{TASKS}::test_nobody_waits_for_the_database_while_a_video_is_made_and_stored",
    ),
    Mutation(
        "43 RQ's default serializer, which is pickle",
        "t2vsite/settings.py",
        '        "SERIALIZER": "rq.serializers.JSONSerializer",\n',
        "",
        f"{WORKER}::test_a_pickled_job_is_refused_and_inert",
    ),
    Mutation(
        "44 a lease counts as lapsed at first sight",
        "generations/sweep.py",
        " if now - since >= patience}",
        "}",
        f"{SWEEP}::test_a_clock_that_jumps_ahead_does_not_take_a_living_workers_row",
    ),
    Mutation(
        "44 a clock that was set back keeps dead workers alive",
        "generations/sweep.py",
        "    _shorten_leases_of_another_time()\n    rendering",
        "    rendering",
        f"{SWEEP}::test_a_clock_that_is_set_back_does_not_prolong_a_dead_workers_lease",
    ),
    Mutation(
        "44 a wait of less than nothing is shown",
        "generations/admin/shared.py",
        "    value = max(value, 0.0)\n",
        "",
        "tests/generations/admin/test_list.py::test_a_clock_that_was_set_back_shows_no_negative_wait",
    ),
    Mutation(
        "46 what may have arrived counts as not sent",
        "telegram_bot/errors.py",
        "    return Verdict(Next.UNKNOWN, reason)\n",
        "    return Verdict(Next.NOT_SENT, reason)\n",
        f"{REPORTED}::test_a_video_whose_answer_never_comes_is_not_sent_again",
    ),
    Mutation(
        "47 a send that a dead bot had begun is begun again",
        "generations/models/generation.py",
        "Delivery.WAITING if self.status_message_id else Delivery.UNKNOWN\n",
        "Delivery.WAITING\n",
        f"{ERRORS}::test_a_bot_killed_while_sending_leaves_it_to_a_person",
    ),
    Mutation(
        "47 an edit that was carried out before is an error",
        "telegram_bot/errors.py",
        '    ("message is not modified", Next.DONE),\n',
        "",
        f"{ERRORS}::test_a_bot_killed_after_the_edit_finds_it_done",
    ),
    Mutation(
        "49 our own back-off instead of the wait that Telegram names",
        "telegram_bot/delivery/handover.py",
        "        wait = verdict.wait or min(",
        "        wait = min(",
        f"{ERRORS}::test_a_flood_wait_is_kept_to_the_second_and_by_this_chat_only",
    ),
    Mutation(
        "50 one chat's flood wait is everybody's",
        "telegram_bot/limiter.py",
        '        chat = str(data["chat_id"])\n',
        '        chat = "1"\n',
        "tests/telegram_bot/test_limiter.py::test_a_chat_told_to_wait_is_not_called_and_the_others_are",
    ),
    Mutation(
        "52 a message seen before is not recognised",
        "generations/services.py",
        "Generation.objects.filter(request_key__in=keys)",
        'Generation.objects.filter(request_key="")',
        "tests/generations/test_services.py::test_a_replayed_message_makes_no_second_video",
    ),
    Mutation(
        "53 what came while the bot was away is dropped",
        "telegram_bot/process.py",
        "delete_webhook(drop_pending_updates=False)",
        "delete_webhook(drop_pending_updates=True)",
        "tests/telegram_bot/test_runbot.py::test_what_came_while_the_bot_was_away_is_answered",
    ),
    Mutation(
        "55 every conflict is a line in the log",
        "telegram_bot/polling.py",
        "        if now - self._said_at.get(kind, -60.0) >= 60:\n",
        "        if True:\n",
        "tests/telegram_bot/test_polling.py::test_another_poller_is_reported_once_and_sat_out",
    ),
    Mutation(
        "56 edits are handled as messages",
        "telegram_bot/application.py",
        "MESSAGE = filters.UpdateType.MESSAGE & ~ViaThisBot()\n",
        "MESSAGE = filters.UpdateType.MESSAGES & ~ViaThisBot()\n",
        f"{ODD}::test_an_edit_makes_no_second_job",
    ),
    Mutation(
        "58 a missing last name is part of the name",
        "telegram_bot/addressing.py",
        "{user.last_name or ''}",
        "{user.last_name}",
        f"{REPORTED}::test_a_person_with_half_a_name_or_none_is_called_by_what_there_is",
    ),
    Mutation(
        "59 a sticker is met with silence",
        "telegram_bot/application.py",
        "    add(MessageHandler(MESSAGE & PRIVATE & ~SERVICE, handlers.no_text))\n",
        "",
        f"{ODD}::test_something_without_text_is_asked_for_text",
    ),
    Mutation(
        "61 captions are read as Markdown",
        "telegram_bot/delivery/handover.py",
        "InputMediaVideo(parcel.video.data, caption=parcel.text,",
        'InputMediaVideo(parcel.video.data, caption=parcel.text, parse_mode="Markdown",',
        f"{REPORTED}::test_a_video_comes_with_its_prompt_as_typed",
    ),
    Mutation(
        "62 an emoji is counted as one unit",
        "telegram_bot/captions.py",
        '    return len(text) + sum(character > "\\uffff" for character in text)\n',
        "    return len(text)\n",
        f"{REPORTED}::test_the_longest_prompt_still_gets_its_video",
    ),
    Mutation(
        "65 a refused progress edit is an error",
        "telegram_bot/delivery/status.py",
        "        except TelegramError as error:\n",
        "        except MemoryError as error:\n",
        f"{REPORTED}::test_progress_that_is_refused_again_and_again_costs_nothing_but_itself",
    ),
    Mutation(
        "67 every thread number is a topic",
        "telegram_bot/addressing.py",
        "    return thread if message.is_topic_message and thread != GENERAL_TOPIC else None\n",
        "    return thread\n",
        f"{GROUPS}::test_what_only_looks_like_a_topic_is_the_chat_itself",
    ),
    Mutation(
        "67 a video for a deleted topic goes nowhere",
        "telegram_bot/sending.py",
        "                elsewhere = Target(target.chat_id)\n",
        "                elsewhere = target\n",
        f"{GROUPS}::test_a_topic_that_is_gone_does_not_swallow_the_video",
    ),
    Mutation(
        "68 a video whose prompt was deleted goes nowhere",
        "telegram_bot/sending.py",
        "                elsewhere = replace(target, reply_to=None)\n",
        "                elsewhere = target\n",
        f"{REPORTED}::test_a_reply_that_is_refused_though_it_was_optional_still_brings_the_video",
    ),
    Mutation(
        "70 a file over the limit is uploaded all the same",
        "telegram_bot/delivery/parcel.py",
        "    if default_storage.size(name) > MAX_UPLOAD:\n",
        "    if False:\n",
        "tests/telegram_bot/test_too_large.py::test_a_file_over_telegrams_limit_is_not_even_tried",
    ),
    Mutation(
        "71 a silent clip goes out without its facts",
        "telegram_bot/delivery/handover.py",
        '        "width": video.width,\n',
        '        "width": None,\n',
        f"{REPORTED}::test_a_silent_clip_goes_out_as_a_video_with_its_size_and_length",
    ),
    Mutation(
        "73 nobody counts what one person has waiting",
        "generations/limits.py",
        "    waiting_at_once(",
        "    (lambda *_: None)(",
        f"{REPORTED}::test_somebody_who_floods_the_bot_is_capped_also_after_a_restart_and_the_next_person_is_next",
    ),
    Mutation(
        "73 first come, first served",
        "generations/models/generation.py",
        'F("requester__last_served_at").asc(nulls_first=True), "queued_at"',
        '"queued_at"',
        f"{REPORTED}::test_somebody_who_floods_the_bot_is_capped_also_after_a_restart_and_the_next_person_is_next",
    ),
    Mutation(
        "74 whoever finds the webhook's address is believed",
        "telegram_bot/webhook.py",
        "    if not knows_the_secret(request):\n",
        "    if False:\n",
        "tests/telegram_bot/test_webhook.py::test_without_the_right_secret_nothing_is_taken",
    ),
    Mutation(
        "64 a second press makes a second video",
        "generations/afterwards.py",
        "            raise AskedAlready\n",
        "            pass\n",
        "tests/telegram_bot/test_repeat_buttons.py::"
        "test_a_slipped_finger_makes_one_video_even_where_videos_take_no_time",
    ),
    Mutation(
        "64 a press that is handled again makes a second video",
        "telegram_bot/job_buttons.py",
        '    key = f"{press.action}:{row.pk}:{press.query_id}"\n',
        '    key = f"{press.action}:{timezone.now()}"\n',
        "tests/telegram_bot/test_repeat_buttons.py::test_a_press_that_is_handled_a_second_time_makes_no_second_video",
    ),
    Mutation(
        "64 anybody may press",
        "generations/services.py",
        "        raise NotYours\n",
        "        pass\n",
        "tests/telegram_bot/test_cancel_button.py::test_nobody_cancels_what_somebody_else_asked_for_in_a_group",
    ),
    Mutation(
        "64 anybody may press what deletes everything",
        "telegram_bot/privacy.py",
        "        raise services.NotYours\n",
        "        pass\n",
        "tests/telegram_bot/test_privacy.py::test_nobody_deletes_what_is_kept_of_somebody_else",
    ),
]


def copied(folder: Path) -> Path:
    """The files as they lie here, without what git ignores."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return folder


def run(tree: Path, nodes: list[str]) -> tuple[int, str]:
    """pytest's exit code (124: it took too long) and what it said."""
    # A compiled file is taken for the current one when size and second are the same.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", *nodes]
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE * len(nodes))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return 124, process.communicate()[0]
    return process.returncode, said


def outcome(tree: Path, mutation: Mutation) -> str:
    """ "caught", or what is wrong."""
    path = tree / mutation.file
    before = path.read_text(encoding="utf-8")
    if before.count(mutation.old) != 1:
        return f"its old text occurs {before.count(mutation.old)} times in {mutation.file}"
    path.write_text(before.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        code, said = run(tree, [mutation.node])
    finally:
        path.write_text(before, encoding="utf-8")
    if code == 1 and re.search(r"\d+ failed", said):
        return "caught"
    # A tree that cannot even be imported shows nothing about the test.
    return "SURVIVED" if code == 0 else f"no verdict (pytest ended with {code}):\n{said[-2000:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name them and their tests")
    parser.add_argument("--only", default="", metavar="NAME")
    options = parser.parse_args()
    chosen = [mutation for mutation in MUTATIONS if options.only in mutation.name]
    if options.list:
        print("\n".join(f"{mutation.name}\n    {mutation.node}" for mutation in chosen))
        return 0
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        for mutation in filter(lambda mutation: mutation.postgresql, chosen):
            print(f"not tried (needs PostgreSQL): {mutation.name}")
        chosen = [mutation for mutation in chosen if not mutation.postgresql]
    if not chosen:
        print("there is none of that name")
        return 2
    with tempfile.TemporaryDirectory(prefix="t2v-mutations-") as folder:
        tree = copied(Path(folder))
        nodes = sorted({mutation.node for mutation in chosen})
        code, said = run(tree, nodes)
        if code != 0:
            print(f"not all tests are green before anything is taken out:\n{said[-4000:]}")
            return 1
        print(f"{len(nodes)} tests are green before anything is taken out", flush=True)
        wrong = 0
        for mutation in chosen:
            began = time.monotonic()
            found = outcome(tree, mutation)
            wrong += found != "caught"
            print(f"{found} ({time.monotonic() - began:.0f} s): {mutation.name}", flush=True)
    print(f"{len(chosen) - wrong} of {len(chosen)} were caught")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
