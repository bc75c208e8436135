"""Retention of the audit log, which nothing else deletes from."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from governance.access.actors import SYSTEM
from governance.history import retention


class Command(BaseCommand):
    help = "Delete the entries of the audit log that are older than so many days. The log says that it was done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, required=True, help="How many days of the log are kept, at least 1.")

    def handle(self, *args: Any, days: int, **options: Any) -> None:
        if not 1 <= days <= 36_500:
            raise CommandError("--days: expected a number of days from 1 to 36500")
        count = retention.forget_audit(actor=SYSTEM, before=datetime.now(UTC) - timedelta(days=days))
        self.stdout.write(f"{count} entries deleted")
