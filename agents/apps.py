from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        # Here and not above: models need Django's registry of apps.
        from agents import services
        from agents.models import Agent
        from agents.providers.built_in import BUILT_IN
        from agents.providers.services import ProviderUsers, agents_on
        from agents.runtime import sessions
        from agents.tools import agent, http
        from governance.clients.connections import PeriodicTask
        from governance.core import registry
        from governance.runs.log import RunSubject
        from governance.tenancy.workspaces import WorkspaceContent
        from prompts.usage import PromptRunner

        registry.register(
            WorkspaceContent("agents", Agent),
            RunSubject("agent", Agent),
            PromptRunner(services.keys_of_agents),
            ProviderUsers("agents", agents_on),
            PeriodicTask(sessions.forget),
            *BUILT_IN,
            agent.KIND,
            http.KIND,
        )
