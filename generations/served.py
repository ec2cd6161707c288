"""Which model this installation serves."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from generations.engine.prepared import locate


def served_model() -> str | Path:
    """Return what MODEL means here: a folder, the prepared copy of a hub id, or an id that was never fetched."""
    return locate(settings.MODEL, settings.MODELS_DIR)
