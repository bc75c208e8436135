from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from prompts.models import Prompt


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from agents import tools
        from agents.models import Agent
        from agents.runtime import sessions  # models need the app registry
        from governance.core import registry
        from governance.runs import log
        from governance.tenancy import workspaces
        from prompts import usage

        workspaces.CONTENTS["agents"] = Agent
        registry.chores.append(sessions.forget)
        tools.register()
        log.SUBJECTS["agent"] = Agent
        usage.runners.append(keys_of_agents)


def keys_of_agents(prompt: "Prompt") -> list[str]:
    """The keys of the agents that run `prompt`: their runs are logged under these."""
    from agents.models import Agent  # as above

    running = Agent.objects.filter(environment=prompt.environment, prompt_key=prompt.key)
    return list(running.order_by().values_list("key", flat=True))
