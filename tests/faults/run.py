"""The faults at full length.

python -m tests.faults.run --list
python -m tests.faults.run --minutes 20 --prompts 400            a random fault every 5 s: the soak
python -m tests.faults.run --only F1 --seed 7 --minutes 10       one chapter: its tests with the product's own waits,
                                                                 then its faults at random for so many minutes
python -m tests.faults.run --kill-loop 200                       kill -9 at 200 random moments
python -m tests.faults.run --kill-loop 200 --parts bot,web       of each of these parts; "--parts all": of all four
python -m tests.faults.run --flood --people 1000 --each 5 --seconds 60     everybody at once, and one x 5000
With --database postgres://... and --queue redis on those; a database is made for the run, and dropped. Ends with 0 when
every accepted prompt has exactly one outcome.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from telegram_bot.simulator import Simulator
from tests.faults.flood import Flood, Plan
from tests.faults.soak import CHAPTERS, PARTS, Walk
from tests.faults.system import Backend, System, made_template
from tests.installation import ROOT

TOKEN = "1000001:MARKER-OF-THE-FAULT-RUN"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the faults and their tests")
    parser.add_argument("--only", default="", metavar="F1")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--prompts", type=int, default=0, help="default: 20 a minute")
    parser.add_argument("--every", type=float, default=5, metavar="SECONDS")
    parser.add_argument("--kill-loop", type=int, default=0, metavar="N")
    parser.add_argument("--parts", default="", help="so many kills of each: bot,worker,queue,web or all")
    parser.add_argument("--flood", action="store_true", help="with --people, --each (prompts), --seconds, --greedy")
    parser.add_argument("--each", type=int, default=Plan.each)
    parser.add_argument("--people", type=int, default=Plan.people)
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    parser.add_argument("--greedy", type=int, default=Plan.greedy, help="prompts of the one who does not stop")
    parser.add_argument("--database", default="", metavar="URL", help="a PostgreSQL server; default: SQLite")
    parser.add_argument("--queue", choices=["valkey", "redis"], default="valkey")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    options = parser.parse_args()
    if options.list:
        print("\n".join(listing()))
        return 0
    # Ended by a signal, it takes its processes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.flood = options.flood or options.only == "F9"
    failed = bool(options.only) and tests_of(options)
    if options.only and not options.flood and options.only not in CHAPTERS:
        # Nothing of it can be done at any moment.
        return int(failed)
    return int(walk(options) or failed)


def tests_of(options: argparse.Namespace) -> bool:
    """One chapter's tests, at full length. Did any fail?"""
    files = sorted(map(str, Path(__file__).parent.glob(f"test_{options.only.lower()}_*.py")))
    if not files:
        sys.exit(f"there is no chapter {options.only}; see --list")
    own = {"FAULTS_FULL_LENGTH": "1", "FAULTS_DATABASE": options.database, "FAULTS_QUEUE": options.queue}
    command = [sys.executable, "-m", "pytest", "-v", "-s", "--durations=0", "--durations-min=1", *files]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, check=False).returncode != 0


def walk(options: argparse.Namespace) -> bool:
    """One long run. Was anything wrong at its end?"""
    home = Path(tempfile.mkdtemp(prefix="t2v-"))
    for name in ("template", "run"):
        (home / name).mkdir()
    backend = Backend(options.database, options.queue)
    try:
        with made_template(backend, home / "template") as template, Simulator(TOKEN) as telegram:
            with System(template, telegram, home / "run") as system:
                done = run(system, options)
                print(done.summary(), flush=True)
                assert done.account is not None
                return bool(done.account.problems)
    finally:
        if options.keep:
            print(f"logs: {home}", file=sys.stderr)
        else:
            shutil.rmtree(home, ignore_errors=True)


def run(system: System, options: argparse.Namespace) -> Walk | Flood:
    if options.flood:
        flood = Flood(system, Plan(options.people, options.each, options.greedy, options.seconds, seed=options.seed))
        flood.run()
        return flood
    done = Walk(system, options.seed)
    if options.kill_loop:
        done.kill_loop(kills_of_each(options.kill_loop, options.parts, options.seed))
    else:
        prompts = options.prompts or round(options.minutes * 20)
        done.soak(minutes=options.minutes, prompts=prompts, every=options.every, only=options.only)
    return done


def kills_of_each(kills: int, parts: str, seed: int) -> Counter[str]:
    """Without names, `kills` in all, shared out by chance."""
    if not parts:
        return Counter(random.Random(seed).choices(PARTS, k=kills))
    return Counter(dict.fromkeys(PARTS if parts == "all" else parts.split(","), kills))


def listing() -> list[str]:
    """From the tests themselves, without importing them."""
    lines = []
    files = Path(__file__).parent.glob("test_f*.py")
    for path in sorted(files, key=lambda path: int(path.name.split("_")[1][1:])):
        tree = ast.parse(path.read_text())
        lines.append((ast.get_docstring(tree) or "").splitlines()[0])
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
        lines += [f"    {name.removeprefix('test_').replace('_', ' ')}" for name in names]
    return lines


if __name__ == "__main__":
    sys.exit(main())
