"""Code of other packages, unmodified, without the packages around it."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType


def upstream_module(name: str) -> ModuleType:
    """Return modelscope/models/multi_modal/video_synthesis/<name>.py as a module.

    It needs only torch and einops, while importing its package runs modelscope.models, which wants some twenty
    libraries that a worker has no other use for. Raises ImportError when modelscope is not installed.
    """
    return module_alone("modelscope", f"models/multi_modal/video_synthesis/{name}.py")


@functools.cache
def module_alone(package: str, file: str) -> ModuleType:
    """Return one file of an installed package as a module, without running the package's own __init__.

    Raises ImportError when the package is not installed or has no such file.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"The package '{package}' is not installed (pip install -r requirements.txt).")
    path = Path(found.origin).parent / file
    spec = importlib.util.spec_from_file_location(f"{package}_{path.stem}_alone", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"This {package} has no {path}; the version in requirements.txt has.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
