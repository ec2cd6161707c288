from __future__ import annotations

import subprocess
import sys


def test_reading_cards_and_writing_videos_needs_no_torch() -> None:
    program = (
        "import generations.engine, generations.engine.base, generations.engine.card, generations.engine.video, sys;"
        "print(sorted({'torch', 'open_clip', 'django', 'rq', 'telegram'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"


def test_the_engine_loads_without_the_rest_of_modelscope_and_without_the_visual_tower() -> None:
    program = (
        "import generations.engine.modelscope.pipeline, sys;"
        "print(sorted({'modelscope', 'datasets', 'transformers', 'cv2', 'django', 'rq'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"
