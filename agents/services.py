"""Everything that writes agents."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from agents.models import Agent, Output
from agents.providers import registry
from agents.runtime import schemas, toolbox
from governance import audit
from governance.access.actors import Actor
from governance.api.concurrency import check_if_match
from governance.core.errors import ConflictError, InvalidInputError, NotFoundError
from governance.core.models import changed
from governance.tenancy.models import Environment
from prompts.models import Prompt

#: The fields, beside its tools, that the audit log keeps of an agent that is deleted.
FIELDS = ("key", "name", "prompt", "prompt_key", "provider", "model", "config", "output", "output_schema", "max_turns")


@transaction.atomic
def create_agent(*, actor: Actor, environment: Environment, key: str, **values: Any) -> Agent:
    """A new agent in the environment's workspace. Raises ConflictError for a taken key."""
    if "tools" in values:
        values["tools"] = toolbox.to_store(values["tools"], [])
    agent = Agent(workspace_id=environment.workspace_id, environment=environment, key=key, **values)
    agent.confined = actor.environment is not None
    _check(agent)
    _refuse_taken_key(agent)
    agent.save(force_insert=True)
    shown = {**values, **({"tools": toolbox.to_show(values["tools"])} if "tools" in values else {})}
    _record(actor, agent, "create", "Created", audit.created(key=key, env=environment.name, **shown))
    return agent


@transaction.atomic
def update_agent(*, actor: Actor, agent: Agent, if_match: str | None = None, **values: Any) -> Agent:
    """Change the fields in `values`. Raises PreconditionError when `if_match` is stale."""
    agent = _lock(agent, if_match)
    old_key = agent.key
    if "tools" in values:
        values["tools"] = toolbox.to_store(values["tools"], agent.tools)
    differences = changed(agent, values)
    if not differences:
        return agent
    _check(agent)
    if agent.key != old_key:
        _refuse_taken_key(agent)
    agent.confined = actor.environment is not None
    agent.save_fields(*differences, "confined")
    if "environment" in differences:
        names = differences.pop("environment")
        differences["env"] = {"old": names["old"].name, "new": names["new"].name}
    if "tools" in differences:
        differences["tools"] = {which: toolbox.to_show(tools) for which, tools in differences["tools"].items()}
    _record(actor, agent, "update", f"Changed {', '.join(differences)} of", differences)
    return agent


@transaction.atomic
def delete_agent(*, actor: Actor, agent: Agent, if_match: str | None = None) -> None:
    agent = _lock(agent, if_match)
    state = {name: getattr(agent, name) for name in FIELDS}
    _record(actor, agent, "delete", "Deleted", audit.deleted(**state, tools=toolbox.to_show(agent.tools)))
    agent.delete()


def _lock(agent: Agent, if_match: str | None) -> Agent:
    locked = Agent.objects.select_for_update(no_key=True).filter(pk=agent.pk).first()
    if locked is None:
        raise NotFoundError
    locked.environment = Environment.objects.get(pk=locked.environment_id)
    check_if_match(if_match, locked.etag)
    return locked


def _check(agent: Agent) -> None:
    if bool(agent.prompt) == bool(agent.prompt_key):
        raise InvalidInputError(
            "prompt: give either an inline prompt or the prompt_key of a registry prompt",
            fields={"prompt": ["expected either this or prompt_key"]},
        )
    registry.find_and_lock(agent.provider)
    if agent.output_schema and agent.output != Output.JSON:
        raise InvalidInputError.of("output_schema", "expected output to be json where there is one")
    schemas.check(agent.output_schema, field="output_schema")
    _check_tools(agent.tools)


def _check_tools(tools: Sequence[toolbox.Description]) -> None:
    names = [toolbox.name_of(tool) for tool in tools]
    taken = next((name for name in names if names.count(name) > 1), None)
    if taken is not None:
        raise InvalidInputError.of("tools", f"two tools are called {taken}: give one of them another name")


def _refuse_taken_key(agent: Agent) -> None:
    if Agent.objects.filter(workspace_id=agent.workspace_id, key=agent.key).exclude(pk=agent.pk).exists():
        raise ConflictError(f"there is an agent {agent.key} already", fields={"key": ["taken in this workspace"]})


def _record(actor: Actor, agent: Agent, action: str, verb: str, differences: audit.Changes) -> None:
    audit.record(
        actor=actor,
        action=action,
        resource="agent",
        resource_id=agent.pk,
        key=agent.key,
        summary=f"{verb} agent {agent.key}",
        workspace_id=agent.workspace_id,
        changes=differences,
    )


def keys_of_agents(prompt: Prompt) -> list[str]:
    """The keys of the agents that run `prompt`, which their runs are logged under."""
    running = Agent.objects.filter(environment=prompt.environment, prompt_key=prompt.key)
    return list(running.order_by().values_list("key", flat=True))
