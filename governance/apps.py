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
        from governance.admin.home import Panel, panels
        from governance.audit import bounded  # the system checks register themselves
        from governance.core import registry
        from governance.history import counts
        from governance.identity import users
        from governance.identity.models import UserManager
        from governance.runs import log
        from governance.runs.admin.home import last_day
        from governance.runs.models import Run

        autodiscover_modules(*(f"{room}.admin" for room in WITH_PAGES))
        UserManager.create_admin = staticmethod(users.create_admin)
        counts.LOGS["runs"] = Run
        registry.chores += [log.Sweep(), bounded.settle]
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

    from governance.core import append_only

    connection = connections[using]
    if append_only.TABLE in connection.introspection.table_names():
        append_only.install(connection)
