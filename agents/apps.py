from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from agents.models import Agent  # models need the app registry
        from governance.services import workspaces

        workspaces.CONTENTS["agents"] = Agent
