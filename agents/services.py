"""Everything that writes agents."""

from typing import Any

from django.db import transaction

from agents.models import Agent
from agents.providers import registry
from governance import audit
from governance.actors import Actor
from governance.concurrency import check_if_match
from governance.errors import ConflictError, InvalidInputError, NotFoundError
from governance.models import Environment
from governance.models.base import changed


@transaction.atomic
def create_agent(*, actor: Actor, environment: Environment, key: str, **values: Any) -> Agent:
    """A new agent in the environment's workspace. Raises ConflictError for a taken key."""
    agent = Agent(workspace_id=environment.workspace_id, environment=environment, key=key, **values)
    _check(agent)
    _refuse_taken_key(agent)
    agent.save(force_insert=True)
    _record(actor, agent, "create", "Created", audit.created(key=key, env=environment.name, **values))
    return agent


@transaction.atomic
def update_agent(*, actor: Actor, agent: Agent, if_match: str | None = None, **values: Any) -> Agent:
    """Change what is given. Raises PreconditionError when `if_match` is stale."""
    agent = _lock(agent, if_match)
    old_key = agent.key
    differences = changed(agent, values)
    if not differences:
        return agent
    _check(agent)
    if agent.key != old_key:
        _refuse_taken_key(agent)
    agent.save_fields(*differences)
    if "environment" in differences:
        names = differences.pop("environment")
        differences["env"] = {"old": names["old"].name, "new": names["new"].name}
    _record(actor, agent, "update", f"Changed {', '.join(differences)} of", differences)
    return agent


@transaction.atomic
def delete_agent(*, actor: Actor, agent: Agent, if_match: str | None = None) -> None:
    agent = _lock(agent, if_match)
    state = {
        name: getattr(agent, name) for name in ("key", "name", "prompt", "prompt_key", "provider", "model", "config")
    }
    _record(actor, agent, "delete", "Deleted", audit.deleted(**state))
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
    registry.find(agent.provider)


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
