"""Do the stored files and the rows agree?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.files.storage import default_storage
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from generations import files


class Command(BaseCommand):
    help = "List stored files without a row and finished rows without a file. Ends with 1 when there is any."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--delete", action="store_true", help="delete the files that no row mentions")
        parser.add_argument("--older-than", type=float, default=24, metavar="HOURS", help="of files (default: 24)")

    def handle(self, *args: Any, **options: Any) -> None:
        orphans = 0
        for orphans, name in enumerate(files.without_row(timezone.now() - timedelta(hours=options["older_than"])), 1):  # noqa: B007
            if options["delete"]:
                default_storage.delete(name)
            self.stdout.write(f"{'deleted, no row' if options['delete'] else 'no row'}: {name}")
        missing = 0
        for missing, row in enumerate(files.rows_without_file(), 1):  # noqa: B007
            self.stdout.write(f"no file: #{row.pk} {row.file.name}")
        summary = f"{orphans} files without a row, {missing} rows without their file"
        if missing or (orphans and not options["delete"]):
            raise CommandError(summary)
        self.stdout.write(summary)
