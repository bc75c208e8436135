"""Turns requests into plans of runs: which text, by which call of a model, logged as what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents.models import DEFAULT_PROVIDER, Agent, Output
from agents.providers import registry
from agents.providers.protocol import TOOLS
from agents.runtime import execution, toolbox
from agents.runtime.budget import Limits
from agents.runtime.invocations import Plan, Subject
from agents.runtime.loop import Task
from governance.access.actors import Actor
from governance.changes import publishing
from governance.core.errors import ConflictError
from prompts import documents
from prompts.content import stored
from prompts.content.protocol import Content
from prompts.content.text import TextContent
from prompts.models import Prompt, PromptVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the request of a run asks for. What is None or empty is the prompt's or the agent's own.

    `version` names the text of a stored prompt: `draft`, `live` or a label. `variants` are further requests that stand
    beside each other, each with what it does not say filled in from this one; None for a single run.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    provider: str = ""
    model: str = ""
    api_key: str | None = None
    base_url: str | None = None
    unit: str | None = None
    strict: bool = False
    session_id: str | None = None
    version: str = "draft"
    variants: Sequence["RunRequest"] | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RunRequest":
        """From the values of a request's serializer; those that are no part of a run are left out."""
        own = {name: value for name, value in values.items() if name in cls.__slots__ and name != "variants"}
        if "variants" not in values:
            return cls(**own)
        variants = [
            cls(**{**own, **variant, "config": {**own["config"], **variant.get("config", {})}})
            for variant in values["variants"]
        ]
        return cls(**own, variants=variants)

    @property
    def runs(self) -> Sequence["RunRequest"]:
        """The runs that are asked for: this one, or its variants."""
        return [self] if self.variants is None else self.variants


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A content with what its prompt or agent says about how it is run."""

    content: Content
    provider: str = ""
    model: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


def plans_of_prompt(prompt: Prompt, request: RunRequest) -> list[Plan]:
    """The runs of a stored prompt. Raises InvalidInputError for a version that is not there."""
    return [_plan_of_prompt(prompt, one) for one in request.runs]


def plans_of_content(content: str, workspace_id: str, request: RunRequest) -> list[Plan]:
    """The runs of a text that is not stored."""
    subject = Subject(source="playground", workspace_id=workspace_id)
    return [_plan(subject, _Source(content=TextContent(content)), one) for one in request.runs]


def plan_of_agent(agent: Agent, request: RunRequest, *, actor: Actor) -> Plan:
    """The run of an agent. A registry prompt is resolved as an application would be served it, rollout included.

    Raises ConflictError when nothing is served under the agent's prompt key, when one of its tools calls something that
    is not there for `actor`, and when it has tools and its provider can't offer any to a model.
    """
    document = served_document(agent, request.unit) if agent.prompt_key else {}
    subject = Subject(
        source="agent",
        workspace_id=agent.workspace_id,
        ref_id=agent.pk,
        ref_key=agent.key,
        environment=agent.environment.name,
        version=document.get("version", ""),
        variant=document.get("variant", ""),
    )
    source = _Source(
        content=stored.of_document(document) if document else TextContent(agent.prompt),
        provider=agent.provider,
        model=agent.model or document.get("model", ""),
        config={**document.get("config", {}), **agent.config},
    )
    plan = _plan(subject, source, request)
    if agent.tools and not plan.call.provider.supports(TOOLS):
        raise ConflictError(f"{plan.call.provider.label} can't call tools, and this agent has some")
    if agent.confined:
        actor = actor.within(agent.workspace_id, agent.environment.name)
    return replace(
        plan,
        task=_task(agent, actor),
        session_id=request.session_id,
        unit=request.unit,
        is_confined=agent.confined,
    )


def content_of(agent: Agent) -> Content:
    """The agent's own text, or the content that is served under its prompt key. Raises ConflictError for none."""
    return stored.of_document(served_document(agent, None)) if agent.prompt_key else TextContent(agent.prompt)


def served_document(agent: Agent, unit: str | None) -> dict[str, Any]:
    """The document that is served under the agent's prompt key. Raises ConflictError when there is none."""
    document = documents.find(environment=agent.environment, key=agent.prompt_key, unit=unit)
    if document is None:
        raise ConflictError(
            f"no prompt {agent.prompt_key} is served in {agent.environment.name}, which this agent runs"
        )
    return document


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


def _plan_of_prompt(prompt: Prompt, request: RunRequest) -> Plan:
    document = _document_of(prompt, request.version)
    subject = Subject(
        source="playground",
        workspace_id=prompt.environment.workspace_id,
        ref_id=prompt.pk,
        ref_key=prompt.key,
        prompt_id=prompt.pk,
        environment=prompt.environment.name,
        version=document["version"],
    )
    source = _Source(content=stored.of_document(document), model=document["model"], config=document["config"])
    return _plan(subject, source, request)


def _document_of(prompt: Prompt, version: str) -> dict[str, Any]:
    """The document of the draft, the live version or a named one. Raises InvalidInputError when there is none."""
    state = publishing.state_named(prompt, version, noun="prompt")
    return documents.of_version(prompt, state) if isinstance(state, PromptVersion) else documents.of_draft(prompt)


def _plan(subject: Subject, source: _Source, request: RunRequest) -> Plan:
    """What the request says goes before what the prompt or the agent says."""
    rendered = execution.render_strictly(source.content, request.variables, strict=request.strict)
    provider = request.provider or source.provider or DEFAULT_PROVIDER
    same_provider = not source.provider or provider == source.provider
    call = registry.prepare(
        provider=provider,
        model=request.model or (source.model if same_provider else ""),
        prompt=rendered.text,
        config={**source.config, **request.config},
        requested=request.config.keys(),
        api_key=request.api_key,
        base_url=request.base_url,
    )
    return Plan(subject=subject, rendered=rendered, call=call)
