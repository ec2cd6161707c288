"""One worker process of its own: what it imports, where it renders, and what it says when memory runs out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, resource, sys
import torch
from pathlib import Path
from generations.engine import load_engine
from generations.engine.base import CheckpointError, EngineError, render_one

def attempt(work):
    try:
        work()
    except CheckpointError as error:
        return ["CheckpointError", str(error)]
    except EngineError as error:
        return [str(error), error.public_reason]

folder = Path(sys.argv[1])
engine = load_engine(folder)
engine.self_test()
frames = render_one(engine, engine.card.spec("a", seed=1, steps=1))
told = {"device": str(engine.device), "shape": frames.shape, "modules": sorted(sys.modules)}
told["threads"] = torch.get_num_threads()

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 8 * 2**20,) * 2)
big = engine.card.spec("a", seed=1, frames=32, width=576, height=576)
told["rendering"] = attempt(lambda: render_one(engine, big))
told["loading"] = attempt(lambda: load_engine(folder))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(model_folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", PROGRAM, str(model_folder)]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    )
    return found


def test_a_machine_without_a_gpu_renders_on_its_cpu(told: dict[str, Any]) -> None:
    assert (told["device"], told["shape"]) == ("cpu", [4, 64, 64, 3])


def test_a_small_network_does_not_wait_for_a_second_core(told: dict[str, Any]) -> None:
    assert told["threads"] == 1


def test_modelscopes_networks_come_without_the_rest_of_modelscope(told: dict[str, Any]) -> None:
    unwanted = {"modelscope", "modelscope.models", "datasets", "transformers", "cv2", "django", "rq", "telegram"}
    assert not unwanted & set(told["modules"])


def test_a_video_too_big_for_the_memory_fails_in_words(told: dict[str, Any]) -> None:
    message, public_reason = told["rendering"]
    assert message.startswith("Not enough memory on cpu for 32 frames of 576x576: ")
    assert "Please ask for fewer frames or a smaller size." in public_reason


def test_a_model_too_big_for_the_memory_stops_the_start_and_is_not_called_broken(told: dict[str, Any]) -> None:
    message, public_reason = told["loading"]
    assert message.startswith("Not enough memory to load ")
    assert public_reason == "The video model is not available right now."
