"""What runs of prompts and agents are made of: which text, with what, logged as what."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.models import Agent, Output
from agents.providers import registry
from agents.runtime import execution, toolbox
from agents.runtime.invocations import Plan, Subject
from agents.runtime.loop import Task
from agents.runtime.toolbox import Limits
from governance.access.actors import Actor
from governance.changes import publishing
from governance.core.errors import ConflictError
from prompts import documents
from prompts.content import stored
from prompts.content.protocol import Content
from prompts.content.text import TextContent
from prompts.models import Prompt, PromptVersion


def plans_of_prompt(prompt: Prompt, wishes: Mapping[str, Any]) -> list[Plan]:
    """The runs of a stored prompt that a request wishes: one, or one for each of its variants."""
    return [_plan_of_prompt(prompt, one) for one in _each(wishes)]


def plans_of_content(content: str, workspace_id: str, wishes: Mapping[str, Any]) -> list[Plan]:
    """The runs of a text that is not stored."""
    subject = Subject(source="playground", workspace_id=workspace_id)
    return [_plan(subject, TextContent(content), {}, one) for one in _each(wishes)]


def plan_of_agent(agent: Agent, wishes: Mapping[str, Any], *, actor: Actor) -> Plan:
    """The run of an agent. A registry prompt is resolved as an application would be served it, rollout included.

    Raises ConflictError when nothing is served under the agent's prompt key, and when a tool calls what is not there
    for `actor`.
    """
    document = served_document(agent, wishes.get("unit")) if agent.prompt_key else {}
    content = stored.of_document(document) if document else TextContent(agent.prompt)
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
    plan = _plan(subject, content, own, wishes)
    if agent.confined:
        actor = actor.within(agent.workspace_id, agent.environment.name)
    return replace(
        plan,
        task=_task(agent, actor),
        session_id=wishes.get("session_id"),
        unit=wishes.get("unit"),
        confined=agent.confined,
    )


def _task(agent: Agent, actor: Actor) -> Task | None:
    """What the agent has to do beyond one call; None for an agent that just answers."""
    in_json = agent.output == Output.JSON
    if not agent.tools and not in_json:
        return None
    return Task(
        tools=toolbox.find_all(
            agent.tools, actor=actor, workspace_id=agent.workspace_id, environment=agent.environment.name
        ),
        schema=agent.output_schema if in_json else None,
        limits=Limits(max_turns=agent.max_turns, max_tokens=agent.max_tokens, max_cost_usd=agent.max_cost_usd),
    )


def content_of(agent: Agent) -> Content:
    """The agent's own text, or the content that is served under its prompt key. Raises ConflictError for none."""
    return stored.of_document(served_document(agent, None)) if agent.prompt_key else TextContent(agent.prompt)


def served_document(agent: Agent, unit: str | None) -> dict[str, Any]:
    document = documents.find(environment=agent.environment, key=agent.prompt_key, unit=unit)
    if document is None:
        raise ConflictError(
            f"no prompt {agent.prompt_key} is served in {agent.environment.name}, which this agent runs"
        )
    return document


def _each(wishes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The wishes of each variant: its own before the request's."""
    common = {name: value for name, value in wishes.items() if name != "variants"}
    if "variants" not in wishes:
        return [common]
    return [
        {**common, **variant, "config": {**common["config"], **variant.get("config", {})}}
        for variant in wishes["variants"]
    ]


def _plan_of_prompt(prompt: Prompt, wishes: Mapping[str, Any]) -> Plan:
    document = _document_of(prompt, wishes["version"])
    subject = Subject(
        source="playground",
        workspace_id=prompt.environment.workspace_id,
        ref_id=prompt.pk,
        ref_key=prompt.key,
        prompt_id=prompt.pk,
        environment=prompt.environment.name,
        version=document["version"],
    )
    own = {"model": document["model"], "config": document["config"]}
    return _plan(subject, stored.of_document(document), own, wishes)


def _document_of(prompt: Prompt, version: str) -> dict[str, Any]:
    """The document of the draft, the live version or a named one. Raises InvalidInputError when there is none."""
    state = publishing.state_named(prompt, version, noun="prompt")
    return documents.of_version(prompt, state) if isinstance(state, PromptVersion) else documents.of_draft(prompt)


def _plan(subject: Subject, content: Content, own: Mapping[str, Any], wishes: Mapping[str, Any]) -> Plan:
    """What the request wishes goes before what the prompt or the agent has of its own."""
    rendered = execution.render_strictly(content, wishes["variables"], strict=wishes["strict"])
    provider = wishes.get("provider") or own.get("provider", "mock")
    same_provider = provider == own.get("provider", provider)
    call = registry.prepare(
        provider=provider,
        model=wishes.get("model") or (own.get("model", "") if same_provider else ""),
        prompt=rendered.text,
        config={**own.get("config", {}), **wishes["config"]},
        asked=wishes["config"].keys(),
        api_key=wishes.get("api_key"),
        base_url=wishes.get("base_url"),
    )
    return Plan(subject=subject, rendered=rendered, call=call)
