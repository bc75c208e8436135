"""What the form of an agent has to know: kinds of tools with their fields, and words to choose from."""

from collections import defaultdict
from typing import Any

from agents.models import Agent
from agents.providers import registry
from agents.providers.protocol import MODEL_PARAMETERS
from agents.runtime import plans, toolbox
from agents.tools.http import HeadersField
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.admin.form_schema import form_schema, words
from governance.core.errors import ConflictError
from prompts.content.rendering import variables_of
from prompts.models import Prompt

PROMPTS_AT_MOST = 1000
#: The parameters that have fields of their own.
FIELDS: list[dict[str, Any]] = [
    {"name": "temperature", "label": "Temperature", "kind": "number", "min": 0, "max": 2},
    {"name": "max_tokens", "label": "Max. tokens", "kind": "number", "min": 1, "whole": True},
    {"name": "top_p", "label": "Top p", "kind": "number", "min": 0, "max": 1},
]


def tool_kinds() -> dict[str, Any]:
    return {
        name: {"summary": kind.summary, "shapes": [], "fields": [_tool_field(name, one) for one in _fields(kind)]}
        for name, kind in toolbox.kinds().items()
    }


def _fields(kind: toolbox.ToolKind) -> list[dict[str, Any]]:
    return form_schema(kind.fields(), kinds={HeadersField: "pairs"}, suggest={}, without=["type"])


def _tool_field(kind: str, field: dict[str, Any]) -> dict[str, Any]:
    if field["name"] == "parameters":
        return {**field, "kind": "schema"}
    return {**field, "suggest": f"{kind}s"} if field["name"] == "key" else field


def for_form(actor: Actor, workspace_id: str | None) -> dict[str, Any]:
    """`workspace_id` is the agent's, None for one that is to be made."""
    prompts = (
        Prompt.objects.all() if workspace_id is None else Prompt.objects.filter(environment__workspace_id=workspace_id)
    )
    by_environment: dict[str, list[str]] = defaultdict(list)
    seen = visible_to(actor, prompts).order_by("key").values_list("environment_id", "key")
    for environment, key in seen[:PROMPTS_AT_MOST]:
        by_environment[str(environment)].append(key)
    models: dict[str, list[str]] = {
        name: [provider.default_model] if provider.default_model else []
        for name, provider in registry.providers().items()
    }
    used = visible_to(actor, Agent.objects.exclude(model="")).order_by("model").values_list("provider", "model")
    for provider_name, model in used.distinct()[:PROMPTS_AT_MOST]:
        if model not in models.setdefault(provider_name, []):
            models[provider_name].append(model)
    return {
        "tools": tool_kinds(),
        "mostTools": toolbox.MAX_TOOLS,
        "parameters": FIELDS,
        "otherParameters": sorted(MODEL_PARAMETERS.difference(field["name"] for field in FIELDS)),
        "prompts": by_environment,
        "models": models,
        "words": {"agents": words(actor, Agent.objects.all(), "key", workspace_id)},
    }


def variables(agent: Agent) -> list[str] | None:
    """The names that the agent's prompt asks for; None when nothing is served under its key."""
    try:
        text = plans.served_document(agent, None)["content"] if agent.prompt_key else agent.prompt
    except ConflictError:
        return None
    return variables_of(text)
