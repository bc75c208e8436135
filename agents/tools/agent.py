"""Another agent of the same workspace and environment as a tool: its prompt's variables are the arguments."""

from collections.abc import Mapping
from typing import Any

from agents.models import Agent
from agents.runtime import embedded, plans
from agents.runtime.toolbox import Caller, Description, Returned, Tool, ToolKind, ToolSerializer, name_of
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api.fields import KeyField
from governance.core.errors import ConflictError


class AgentTool(ToolSerializer):
    key = KeyField(style={"suggest": "agents"}, help_text="An agent of the same workspace and environment.")


def find(description: Description, actor: Actor, workspace_id: str, environment: str) -> Tool:
    agents = Agent.objects.select_related("environment").filter(
        workspace_id=workspace_id, environment__name=environment, key=description["key"]
    )
    agent = visible_to(actor, agents).first()
    if agent is None:
        raise ConflictError(f"no agent {description['key']} is in {environment}, which this one has as a tool")
    names = plans.content_of(agent).variables
    parameters = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": names,
        "additionalProperties": False,
    }

    async def run(arguments: Mapping[str, Any], caller: Caller) -> Returned:
        answer = await embedded.run_as_tool(agent, variables=arguments, caller=caller)
        return Returned(output=answer["result"]["output"], run_id=answer["run_id"])

    return Tool(
        kind="agent",
        name=name_of(description),
        description=description.get("description") or agent.description or agent.name or agent.key,
        parameters=parameters,
        run=run,
    )


KIND = ToolKind(
    name="agent", fields=AgentTool, find=find, summary="Another agent: its prompt's variables are the arguments."
)
