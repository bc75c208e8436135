from django.apps import AppConfig


class PromptsConfig(AppConfig):
    name = "prompts"
    verbose_name = "Prompts"

    def ready(self) -> None:
        # Here and not above: models and services need the app registry.
        from governance import changes
        from governance.realtime import runtime, snapshots
        from governance.services import environments, workspaces
        from prompts import documents, services
        from prompts.catalog import catalog
        from prompts.models import Prompt

        workspaces.CONTENTS["prompts"] = Prompt
        environments.policy_listeners.append(services.announce_policy)
        snapshots.provider = documents.snapshot
        runtime.listeners.append(catalog)
        changes.listeners.append(catalog.require)
