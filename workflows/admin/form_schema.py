"""What the builder makes its form of: the JSON Schemas of the types of steps, and words to suggest."""

from typing import Any

from agents.models import Agent
from agents.providers import registry
from governance.access.actors import Actor
from governance.admin.suggestions import words
from governance.api import json_schema
from governance.tenancy.models import Environment
from prompts.models import Prompt
from workflows.definition import schema
from workflows.definition.parsing import InputSerializer
from workflows.language import conditions
from workflows.models import Workflow
from workflows.steps import STEP_TYPES
from workflows.steps.base import StepSerializer


def for_form(actor: Actor, workspace_id: str | None) -> dict[str, Any]:
    """The settings of builder.js. `workspace_id` is the workflow's, None for a new one.

    `types` are the schemas of the types of steps by their names, `common` the fields that every step has.
    """
    return {
        "types": {name: schema.of_type(step_type) for name, step_type in STEP_TYPES.items()},
        "common": list(StepSerializer().fields),
        "inputs": json_schema.of(InputSerializer()),
        "comparisons": list(conditions.COMPARISONS),
        "tests": list(conditions.TESTS),
        "words": {
            "providers": list(registry.providers()),
            "environments": words(actor, Environment.objects.all(), "name", workspace_id),
            "prompts": words(actor, Prompt.objects.all(), "key", workspace_id),
            "agents": words(actor, Agent.objects.all(), "key", workspace_id),
            "workflows": words(actor, Workflow.objects.all(), "key", workspace_id),
        },
    }
