from django.apps import AppConfig


class PromptsConfig(AppConfig):
    name = "prompts"
    verbose_name = "Prompts"

    def ready(self) -> None:
        # Here and not above: models and services need Django's registry of apps.
        from governance.admin.home import Panel
        from governance.changes.changelog import CommitListener
        from governance.core import registry
        from governance.realtime.runtime import TailListener
        from governance.realtime.snapshots import DocumentSource
        from governance.runs.log import RunSubject
        from governance.tenancy.environments import PolicyListener
        from governance.tenancy.workspaces import WorkspaceContent
        from prompts import documents, services
        from prompts.admin import home
        from prompts.delivery.catalog import catalog
        from prompts.models import Prompt

        registry.register(
            WorkspaceContent("prompts", Prompt),
            RunSubject("prompt", Prompt),
            PolicyListener(services.announce_policy),
            DocumentSource(documents.snapshot),
            TailListener(catalog),
            CommitListener(catalog.require),
            Panel(
                title="Drafts that wait",
                template="prompts/home/drafts.html",
                facts=home.waiting_drafts,
                capability="prompt.read",
                place=30,
            ),
            Panel(
                title="Latest versions",
                template="prompts/home/publishes.html",
                facts=home.latest_publishes,
                capability="prompt.read",
                place=40,
                wide=True,
            ),
        )
