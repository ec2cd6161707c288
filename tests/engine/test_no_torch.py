from __future__ import annotations

import subprocess
import sys


def test_reading_cards_and_writing_videos_needs_no_torch() -> None:
    program = (
        "import generations.engine, generations.engine.base, generations.engine.card, generations.engine.video, sys;"
        "import generations.engine.hub, generations.engine.prepared;"
        "print(sorted({'torch', 'open_clip', 'django', 'rq', 'telegram'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"


def test_a_missing_library_is_told_in_one_line() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from generations.engine import load_engine\n"
        "from generations.engine.base import EngineError\n"
        "try: load_engine()\n"
        "except EngineError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.startswith("The engine's libraries cannot be imported (pip install -r requirements.txt): ")
    assert told.count("\n") == 1
