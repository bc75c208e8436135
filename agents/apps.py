from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from agents import sessions, tools  # models need the app registry
        from agents.models import Agent
        from governance import runs
        from governance.services import workspaces

        workspaces.CONTENTS["agents"] = Agent
        runs.CHORES.append(sessions.forget)
        tools.register()
        runs.SUBJECTS["agent"] = Agent
