"""The processes whose starts b5_cold_start.py measures. Each imports what it needs and nothing else.

python -m benchmarks.cold_starts KIND FOLDER DEVICE does its work, prints one line of JSON when it is ready, and ends.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLIP_FILE, UNET_FILE, AUTOENCODER_FILE = (
    "open_clip_pytorch_model.bin",
    "text2video_pytorch_model.pth",
    "VQGAN_autoencoder.pth",
)
GIB = 2**30
# Filled when the imports are done, so that they can be told from the work.
IMPORTS: dict[str, float] = {}


def main() -> None:
    kind, folder, device = sys.argv[1:]
    # Held, so that what is counted is what a process has in memory that is ready.
    _ready = CHILDREN[kind](Path(folder), device)
    print(json.dumps({**IMPORTS, **resident()}), flush=True)
    # Taking the networks apart again belongs to no start.
    os._exit(0)


def imported() -> None:
    started = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    IMPORTS["imports"] = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    IMPORTS["cpu_of_imports"] = time.process_time()
    IMPORTS["rss_of_imports"] = resident()["rss"]


def resident() -> dict[str, float]:
    """GiB in memory now: all that the process has touched, and what of it belongs to no file."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "RssAnon"))}
    return {"rss": kib["VmRSS"] * 1024 / GIB, "anonymous": kib["RssAnon"] * 1024 / GIB}


# --- the two that are compared


def stock(folder: Path, device: str) -> Any:
    from benchmarks.stock import StockPipeline

    imported()
    pipeline = StockPipeline(folder, device)
    pipeline.load_unet()
    pipeline.load_autoencoder()
    pipeline.load_text()
    return pipeline


def ours(folder: Path, device: str) -> Any:
    from generations.engine import load_engine
    from generations.engine.modelscope import pipeline  # noqa: F401  # what load_engine imports when called

    imported()
    engine = load_engine(folder, device)
    engine.self_test()
    return engine


def stock_first(folder: Path, device: str) -> Any:
    from benchmarks.stock import StockPipeline

    imported()
    pipeline = StockPipeline(folder, device)
    pipeline.load_unet()
    pipeline.load_autoencoder()
    return pipeline


def stock_text(folder: Path, device: str) -> Any:
    from benchmarks.stock import StockPipeline

    imported()
    pipeline = StockPipeline(folder, device)
    pipeline.load_text()
    return pipeline


# --- what comes before


def draw_unet(folder: Path, device: str) -> None:
    import torch

    from generations.engine.modelscope.configuration import read_configuration
    from generations.engine.modelscope.unet import build_unet

    imported()
    with torch.device("meta"):
        unet = build_unet(read_configuration(folder).unet)
    save(drawn(unet), folder / UNET_FILE)


def draw_rest(folder: Path, device: str) -> None:
    import open_clip
    import torch

    from generations.engine.modelscope.autoencoder import build_autoencoder
    from generations.engine.modelscope.configuration import read_configuration
    from generations.engine.modelscope.text_encoder import TextTower
    from generations.engine.modelscope.weights import AUTOENCODER_PREFIX

    imported()
    configuration = read_configuration(folder)
    tiny = "text_to_video_bot" in (folder / "configuration.json").read_text(encoding="utf-8")
    with torch.device("meta"):
        autoencoder = build_autoencoder(configuration.autoencoder)
        # With both towers, as the file that ModelScope publishes.
        clip = TextTower(configuration.text) if tiny else open_clip.model.CLIP(**open_clip.get_model_config("ViT-H-14"))
    state = {f"{AUTOENCODER_PREFIX}.{name}": value for name, value in drawn(autoencoder).items()}
    save({"state_dict": state}, folder / AUTOENCODER_FILE)
    save(drawn(clip), folder / CLIP_FILE)


def save(state: dict[str, Any], path: Path) -> None:
    """Under its name once it is whole: what lies there is not drawn again."""
    import torch

    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def drawn(network: Any) -> dict[str, Any]:
    """Every weight of a network on the meta device, drawn: as constructed, many of ModelScope's are zero."""
    import torch

    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, value in network.state_dict().items():
        scale = 1 / math.sqrt(math.prod(value.shape[1:])) if value.ndim > 1 else 0.1
        state[name] = torch.empty(value.shape).normal_(0, scale, generator=generator)
        if value.ndim == 1 and name.endswith("weight"):
            state[name] += 1
    return state


def prepare_copy(precision: str) -> Callable[[Path, str], None]:
    def work(folder: Path, device: str) -> None:
        from generations.engine import prepared
        from generations.engine.modelscope.prepare import prepare

        imported()
        prepare(
            folder,
            folder.parent / "copy",
            model="benchmark/cold-start",
            revision="drawn",
            precision=precision,
            licence="none",
            records={path.name: prepared.record_of(path) for path in folder.iterdir()},
        )

    return work


CHILDREN: dict[str, Callable[[Path, str], Any]] = {
    "stock": stock,
    "stock-first": stock_first,
    "stock-text": stock_text,
    "ours": ours,
    "draw-unet": draw_unet,
    "draw-rest": draw_rest,
    "prepare-float16": prepare_copy("float16"),
    "prepare-float32": prepare_copy("float32"),
}


if __name__ == "__main__":
    main()
