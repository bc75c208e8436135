from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules

#: The rooms with pages in the back office.
WITH_PAGES = ("tenancy", "identity", "changes", "clients", "history", "runs")


class GovernanceConfig(AppConfig):
    name = "governance"
    verbose_name = "Governance"

    def ready(self) -> None:
        # Here and not above: models need the app registry.
        from governance import audit_bounded, checks, log_counts, registry, runs  # noqa: F401  # the system checks register themselves
        from governance.home import Panel, last_day, panels
        from governance.models import Run
        from governance.models.identity import UserManager
        from governance.services import users

        autodiscover_modules(*(f"{room}.admin" for room in WITH_PAGES))
        UserManager.create_admin = staticmethod(users.create_admin)
        log_counts.LOGS["runs"] = Run
        registry.chores += [runs.Sweep(), audit_bounded.settle]
        post_migrate.connect(keep_audit_guarded, sender=self)
        today = Panel(
            title="The last day",
            template="governance/home/last_day.html",
            facts=last_day,
            capability="run.read",
            place=10,
            wide=True,
        )
        panels.append(today)


def keep_audit_guarded(using: str, **kwargs: Any) -> None:
    """A migration that makes the audit log's table anew would leave it without its trigger."""
    from django.db import connections  # as above

    from governance import audit_guard

    connection = connections[using]
    if audit_guard.TABLE in connection.introspection.table_names():
        audit_guard.install(connection)
