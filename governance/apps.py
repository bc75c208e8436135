from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class GovernanceConfig(AppConfig):
    name = "governance"
    verbose_name = "Governance"

    def ready(self) -> None:
        # Here and not above: models need the app registry.
        from governance import audit_bounded, checks, home, runs  # noqa: F401  # the system checks register themselves

        runs.CHORES.append(audit_bounded.settle)
        post_migrate.connect(keep_audit_guarded, sender=self)
        today = home.Panel(
            title="The last day",
            template="governance/home/last_day.html",
            facts=home.last_day,
            capability="run.read",
            place=10,
            wide=True,
        )
        home.panels.append(today)


def keep_audit_guarded(using: str, **kwargs: Any) -> None:
    """A migration that makes the audit log's table anew would leave it without its trigger."""
    from django.db import connections  # as above

    from governance import audit_guard

    connection = connections[using]
    if audit_guard.TABLE in connection.introspection.table_names():
        audit_guard.install(connection)
