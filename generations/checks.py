"""Django's system checks: what would go wrong later, said before the start, each with an id and a hint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from generations.engine.base import CheckpointError
from generations.engine.card import read_card
from generations.engine.prepared import is_hub_id
from generations.served import served_model


@register(Tags.files)
def folders_are_writable(**_: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    for number, name in enumerate(("DATA_DIR", "MEDIA_ROOT"), start=1):
        folder = Path(getattr(settings, name))
        # A folder that is not there yet is made on first use, inside the nearest one that is.
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            hint = f"Give this user the right to write to {existing}, or set {name} to another folder."
            problems.append(Error(f"{name}: {folder} is not writable.", hint=hint, id=f"generations.E00{number}"))
    return problems


@register(Tags.files)
def model_can_be_read(**_: Any) -> list[CheckMessage]:
    model = Path(settings.MODEL)
    # A hub id may still have to be fetched; the worker says so.
    if not model.is_dir() and not is_hub_id(settings.MODEL):
        hint = "Set MODEL to a folder in ModelScope's format or to a hub id such as iic/text-to-video-synthesis."
        return [Error(f"MODEL: there is no folder {settings.MODEL}.", hint=hint, id="generations.E003")]
    try:
        read_card(served_model())
    except CheckpointError as error:
        hint = "Fetch the model's files again; configuration.json comes with them."
        return [Error(f"MODEL: {problem}", hint=hint, id="generations.E004") for problem in error.problems]
    return []


@register(Tags.security)
def debug_is_for_development(**_: Any) -> list[CheckMessage]:
    if settings.DEBUG and not settings.EMBEDDED_DATABASE:
        hint = "Error pages show settings and data to everybody. Unset DEBUG, or use the embedded database."
        return [Warning("DEBUG is on with a real database.", hint=hint, id="generations.W001")]
    return []


@register(Tags.database)
def one_machine_has_one_database(**_: Any) -> list[CheckMessage]:
    if settings.EMBEDDED_DATABASE and not settings.EMBEDDED_REDIS:
        hint = "Set DATABASE_URL too when processes on several machines share the queue: SQLite serves one machine."
        return [Warning("REDIS_URL is set and DATABASE_URL is not.", hint=hint, id="generations.W002")]
    return []
