"""What the script of an agent's form has to know: JSON Schemas of the kinds of tools, and names to suggest."""

from collections import defaultdict
from typing import Any

from agents.models import Agent
from agents.providers import registry
from agents.providers.parameters import MODEL_PARAMETERS
from agents.runtime import plans, toolbox
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.admin.suggestions import words
from governance.api import json_schema
from governance.core.errors import ConflictError
from prompts.models import Prompt

PROMPTS_AT_MOST = 1000
#: The parameters that have fields of their own, as a JSON Schema.
PARAMETERS: json_schema.Schema = {
    "type": "object",
    "properties": {
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "max_tokens": {"type": "integer", "minimum": 1, json_schema.FORM: {"title": "Max. tokens"}},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    },
}


def tool_kinds() -> dict[str, json_schema.Schema]:
    """The JSON Schema of a tool's description, for each kind of tools."""
    return {
        name: {**json_schema.of(kind.fields()), "description": kind.summary} for name, kind in toolbox.kinds().items()
    }


def for_form(actor: Actor, workspace_id: str | None) -> dict[str, Any]:
    """What the form is sent. `workspace_id` is the agent's, None for a new one."""
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
        "parameters": PARAMETERS,
        "otherParameters": sorted(MODEL_PARAMETERS.difference(PARAMETERS["properties"])),
        "prompts": by_environment,
        "models": models,
        "words": {"agents": words(actor, Agent.objects.all(), "key", workspace_id)},
    }


def variables(agent: Agent) -> list[str] | None:
    """The names of the variables in the agent's prompt; None when nothing is served under its key."""
    try:
        return plans.content_of(agent).variables
    except ConflictError:
        return None
