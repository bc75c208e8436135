from typing import Any

from django.core.management.base import BaseCommand

from governance.runs import rollups


class Command(BaseCommand):
    help = "Count the run log anew for the statistics: after a restore, or when they were tampered with."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{rollups.rebuild()} runs counted")
