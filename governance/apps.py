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
        # Here and not above: models need Django's registry of apps.
        from governance.access.revision import AccessListener
        from governance.admin.base import ChoiceField
        from governance.admin.home import Panel
        from governance.audit import bounded
        from governance.audit.models import AuditEntry
        from governance.changes.changelog import CommitListener
        from governance.clients.connections import PeriodicTask
        from governance.core import checks, registry  # noqa: F401  # the system checks register themselves
        from governance.history.counts import CountedLog
        from governance.identity import users
        from governance.identity.credentials.token_cache import tokens
        from governance.identity.models import AdminFactory
        from governance.realtime import runtime
        from governance.runs import log
        from governance.runs.admin.home import last_day
        from governance.runs.models import Run
        from governance.tenancy.admin.forms import EnvironmentField
        from governance.tenancy.models import Environment

        autodiscover_modules(*(f"{room}.admin" for room in WITH_PAGES))
        post_migrate.connect(keep_audit_guarded, sender=self)
        registry.register(
            AdminFactory(users.create_admin),
            AccessListener(tokens.clear),
            AccessListener(runtime.on_access_change),
            CommitListener(runtime.on_commit),
            CountedLog("audit", AuditEntry),
            CountedLog("runs", Run),
            PeriodicTask(log.Sweep()),
            PeriodicTask(bounded.settle),
            ChoiceField(Environment, EnvironmentField),
            Panel(
                title="The last day",
                template="governance/home/last_day.html",
                facts=last_day,
                capability="run.read",
                place=10,
                wide=True,
            ),
        )


def keep_audit_guarded(using: str, **kwargs: Any) -> None:
    """A migration that makes the audit log's table anew would leave it without its trigger."""
    from django.db import connections  # as above

    from governance.core import append_only

    connection = connections[using]
    if append_only.TABLE in connection.introspection.table_names():
        append_only.install(connection)
