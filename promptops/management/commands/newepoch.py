"""To be run after an older copy of the database was restored, before the server starts."""

from typing import Any

from django.core.management.base import BaseCommand

from governance.access.actors import SYSTEM
from governance.tenancy import environments


class Command(BaseCommand):
    help = "Begin a new epoch in every environment: clients that saw revisions which are gone now get a snapshot."

    def handle(self, *args: Any, **options: Any) -> None:
        count = environments.renew_epochs(actor=SYSTEM)
        self.stdout.write(f"new epochs in {count} environments")
