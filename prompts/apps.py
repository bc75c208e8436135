from django.apps import AppConfig


class PromptsConfig(AppConfig):
    name = "prompts"
    verbose_name = "Prompts"

    def ready(self) -> None:
        # Here and not above: models and services need the app registry.
        from governance.admin.home import Panel, panels
        from governance.changes import changelog
        from governance.realtime import runtime, snapshots
        from governance.runs import log
        from governance.tenancy import environments, workspaces
        from prompts import documents, services
        from prompts.admin import home
        from prompts.delivery.catalog import catalog
        from prompts.models import Prompt

        workspaces.CONTENTS["prompts"] = Prompt
        log.SUBJECTS["prompt"] = Prompt
        environments.policy_listeners.append(services.announce_policy)
        snapshots.provider = documents.snapshot
        runtime.listeners.append(catalog)
        changelog.listeners.append(catalog.require)
        panels += [
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
        ]
