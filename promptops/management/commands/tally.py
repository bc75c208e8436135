from typing import Any

from django.core.management.base import BaseCommand

from governance import tallies


class Command(BaseCommand):
    help = "Count the run log anew for the statistics: after a restore, or when they were tampered with."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{tallies.rebuild()} runs counted")
