"""Videos and posters go when their row goes: after the commit, never before.

This is the one signal in the project. Rows are deleted by the admin's page, by its bulk action, by querysets, and by
cascade when a person is deleted; post_delete is the only place that all four pass, and that a rollback can still undo.
A crash between commit and deletion leaves a file without a row, which `manage.py audit` finds.
"""

from __future__ import annotations

import logging
from typing import Any

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models.signals import post_delete

from generations.models import Generation

logger = logging.getLogger(__name__)


def connect() -> None:
    post_delete.connect(after_delete, sender=Generation, dispatch_uid="generations.deleted_files")


def after_delete(sender: object, instance: Generation, using: str, **kwargs: Any) -> None:
    names = [name for name in (instance.file.name, instance.poster.name) if name]
    if names:
        transaction.on_commit(lambda: delete(names), using=using)


def delete(names: list[str]) -> None:
    for name in names:
        try:
            default_storage.delete(name)
        except OSError as error:
            # The row is gone; a full or read-only disk must not turn that into an error page.
            logger.warning("Could not delete %s: %s", name, error)
