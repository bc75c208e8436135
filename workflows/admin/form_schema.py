"""The step types, told to the page of a workflow, whose form is made of this."""

from typing import Any

from agents.models import Agent
from agents.providers import registry
from governance.access.actors import Actor
from governance.admin.form_schema import form_schema, words
from governance.api.fields import ObjectField
from governance.tenancy.models import Environment
from prompts.models import Prompt
from workflows.definition.parsing import InputSerializer
from workflows.language import conditions
from workflows.models import Workflow
from workflows.steps import STEP_TYPES
from workflows.steps.base import StepSerializer
from workflows.steps.fields import (
    AnyValuesField,
    ConditionField,
    HeadersField,
    JsonField,
    OnErrorField,
    PathField,
    StepsField,
    TargetField,
    TemplateField,
    ValuesField,
)
from workflows.steps.secret import SecretHeadersField
from workflows.steps.validate import SchemaField

_KINDS: dict[type[Any], str] = {
    TemplateField: "template",
    PathField: "path",
    SecretHeadersField: "secrets",
    HeadersField: "pairs",
    ValuesField: "values",
    SchemaField: "schema",
    ConditionField: "condition",
    TargetField: "target",
    OnErrorField: "on_error",
    StepsField: "steps",
    AnyValuesField: "json",
    JsonField: "value",
    ObjectField: "json",
}
_SUGGEST = {
    "provider": "providers",
    "env": "environments",
    "prompt_key": "prompts",
    "agent_key": "agents",
    "workflow_key": "workflows",
}
#: The fields that every step has; the rest is what its type is about.
COMMON = [field["name"] for field in form_schema(StepSerializer(), kinds=_KINDS, suggest={}, without=["type"])]


def step_types() -> dict[str, Any]:
    """For each type its sentence, its fields, and which of them go with which words."""
    return {
        step_type.name: {
            "summary": step_type.summary,
            "fields": form_schema(step_type.fields(), kinds=_KINDS, suggest=_SUGGEST, without=["type"]),
            "shapes": [
                {"only": dict(shape.only), "required": list(shape.required), "without": list(shape.without)}
                for shape in step_type.fields.shapes
            ],
            "gives": list(step_type.gives),
        }
        for step_type in STEP_TYPES.values()
    }


def for_form(actor: Actor, workspace_id: str | None) -> dict[str, Any]:
    """All that the form's script has to know; `workspace_id` is the workflow's, None for one that is to be made."""
    return {
        "types": step_types(),
        "common": COMMON,
        "inputs": form_schema(InputSerializer(), kinds=_KINDS, suggest={}),
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
