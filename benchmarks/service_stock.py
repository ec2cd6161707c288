"""What B7 compares with: ModelScope's classes, called for one job after the other, in a process of their own.

python -m benchmarks.service_stock reads the jobs as one line of JSON, and prints when each was finished as another. All
jobs are there when it begins; a clip counts as finished when it is an mp4, written by our encoder on both sides.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.stock import StockPipeline
from generations.engine.video import write_video


def main() -> None:
    wanted: dict[str, Any] = json.loads(sys.stdin.readline())
    torch.set_num_threads(wanted["threads"])
    stock = StockPipeline(Path(wanted["folder"]), wanted["device"])
    stock.load_unet(as_upstream=False)
    stock.load_autoencoder()
    stock.load_text()
    shape = wanted["steps"], wanted["frames"], wanted["height"], wanted["width"]
    # What happens once, such as starting threads, belongs to no job.
    stock.render("warm up", 0, *shape)
    finished = []
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for number, (prompt, seed) in enumerate(wanted["jobs"]):
            frames = stock.render(prompt, seed, *shape)
            write_video(frames, Path(folder) / f"{number}.mp4", 8)
            finished.append(time.perf_counter() - started)
            if number == 0:
                np.save(wanted["save"], frames, allow_pickle=False)
    print(json.dumps({"finished": finished}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
