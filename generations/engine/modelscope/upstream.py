"""ModelScope's own network code, unmodified, taken from the installed package."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType


@functools.cache
def upstream_module(name: str) -> ModuleType:
    """Return modelscope/models/multi_modal/video_synthesis/<name>.py as a module.

    The file is loaded by its path: it needs only torch and einops, while importing its package runs
    modelscope.models, which wants some twenty libraries that a worker has no other use for.
    Raises ImportError when modelscope is not installed.
    """
    package = importlib.util.find_spec("modelscope")
    if package is None or package.origin is None:
        raise ImportError("The package 'modelscope' is not installed (pip install -r requirements.txt).")
    path = Path(package.origin).parent / "models" / "multi_modal" / "video_synthesis" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"modelscope_video_synthesis_{name}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"This modelscope has no {path}; version 1.40.2 has.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
