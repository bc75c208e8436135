"""Fill a prompt of the registry, resolved at each run as an application would be served it."""

from collections.abc import Mapping
from typing import Any

from agents.execution import render_strictly
from governance.api.fields import KeyField, StringField
from governance.models import Environment
from governance.querysets import visible_to
from prompts import documents
from workflows.steps.base import Context, Outcome, StepFailedError, StepSerializer, StepType


class PromptStep(StepSerializer):
    prompt_key = KeyField()
    env = StringField(required=False, max_length=50, default="prod")


def run(step: Mapping[str, Any], context: Context) -> Outcome:
    places = Environment.objects.filter(workspace_id=context.workspace_id, name=step["env"])
    environment = visible_to(context.actor, places).first()
    document = (
        documents.find(environment=environment, key=step["prompt_key"], unit=context.unit) if environment else None
    )
    if document is None:
        raise StepFailedError(f"no prompt {step['prompt_key']} is served in {step['env']}")
    rendered = render_strictly(document["content"], context.names, strict=context.strict)
    trace = {"missing": rendered.missing, "prompt_key": document["key"], "version": document["version"]}
    if "variant" in document:
        trace["variant"] = document["variant"]
    return Outcome(output=rendered.text, trace=trace)


STEP = StepType(name="prompt", fields=PromptStep, run=run)
