"""Give the roles back what they may do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from generations import roles


class Command(BaseCommand):
    help = "Make the groups Viewer, Moderator, Operator and Admin what they are shipped as. Their members stay."

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            roles.sync()
        for name, permissions in roles.ROLES.items():
            self.stdout.write(f"{name}: {len(permissions)} permissions")
