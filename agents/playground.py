"""Runs of prompts and agents: what is run, with what, logged as what."""

from typing import Any

from agents import execution
from agents.execution import Subject
from agents.models import Agent
from agents.providers import registry
from governance.actors import Actor
from governance.errors import ConflictError
from prompts import documents
from prompts.models import Prompt


def run_prompt(*, actor: Actor, prompt: Prompt, wishes: dict[str, Any]) -> dict[str, Any]:
    """Run a stored prompt's draft."""
    subject = Subject(
        source="playground",
        workspace_id=prompt.workspace_id,
        ref_id=prompt.pk,
        ref_key=prompt.key,
        environment=prompt.environment.name,
        version=prompt.version,
    )
    own = {"model": prompt.model, "config": prompt.config}
    return _run(actor, subject, prompt.content, own, wishes)


def run_content(*, actor: Actor, content: str, workspace_id: str, wishes: dict[str, Any]) -> dict[str, Any]:
    """Run a text that is not stored."""
    return _run(actor, Subject(source="playground", workspace_id=workspace_id), content, {}, wishes)


def run_agent(*, actor: Actor, agent: Agent, wishes: dict[str, Any]) -> dict[str, Any]:
    """Run an agent. A registry prompt is resolved as an application would be served it, rollout included.

    Raises ConflictError when nothing is served under the agent's prompt key.
    """
    document: dict[str, Any] = {"content": agent.prompt}
    if agent.prompt_key:
        document = served_document(agent, wishes.get("unit"))
    subject = Subject(
        source="agent",
        workspace_id=agent.workspace_id,
        ref_id=agent.pk,
        ref_key=agent.key,
        environment=agent.environment.name,
        version=document.get("version", ""),
        variant=document.get("variant", ""),
    )
    own = {
        "provider": agent.provider,
        "model": agent.model or document.get("model", ""),
        "config": {**document.get("config", {}), **agent.config},
    }
    return _run(actor, subject, document["content"], own, wishes)


def served_document(agent: Agent, unit: str | None) -> dict[str, Any]:
    document = documents.find(environment=agent.environment, key=agent.prompt_key, unit=unit)
    if document is None:
        raise ConflictError(
            f"no prompt {agent.prompt_key} is served in {agent.environment.name}, which this agent runs"
        )
    return document


def _run(actor: Actor, subject: Subject, template: str, own: dict[str, Any], wishes: dict[str, Any]) -> dict[str, Any]:
    """What the request wishes goes before what the prompt or the agent has of its own."""
    rendered = execution.render_strictly(template, wishes["variables"], strict=wishes["strict"])
    provider = wishes.get("provider") or own.get("provider", "mock")
    same_provider = provider == own.get("provider", provider)
    call = registry.prepare(
        provider=provider,
        model=wishes.get("model") or (own.get("model", "") if same_provider else ""),
        prompt=rendered.text,
        config={**own.get("config", {}), **wishes["config"]},
        api_key=wishes.get("api_key"),
        base_url=wishes.get("base_url"),
    )
    return execution.run(actor=actor, subject=subject, call=call, rendered=rendered)
