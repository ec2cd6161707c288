from typing import Any

from django.core.management.base import BaseCommand

from generations.sweep import sweep


class Command(BaseCommand):
    help = "Put right what killed processes left behind: lapsed leases, lost doorbells, stuck deliveries."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(str(sweep()))
