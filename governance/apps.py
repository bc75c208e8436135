from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    name = "governance"
    verbose_name = "Governance"

    def ready(self) -> None:
        # Here and not above: models need the app registry.
        from governance import checks, home  # noqa: F401  # the system checks register themselves

        today = home.Panel(
            title="The last day",
            template="governance/home/last_day.html",
            facts=home.last_day,
            capability="run.read",
            place=10,
            wide=True,
        )
        home.panels.append(today)
