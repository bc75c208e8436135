"""Fill a prompt of the registry, resolved at each run as an application would be served it."""

from typing import Any

from governance.access.visibility import visible_to
from governance.api.fields import PromptKeyField, StringField
from governance.tenancy.models import Environment
from prompts import documents
from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, StepFailedError, StepSerializer, StepType, on_database


class PromptStep(StepSerializer):
    prompt_key = PromptKeyField(style={"suggest": "prompts"})
    env = StringField(
        style={"title": "Environment", "suggest": "environments"}, required=False, max_length=50, default="prod"
    )


async def run(step: Step, context: Context) -> Outcome:
    document = await on_database(_served, step, context)
    if document is None:
        raise StepFailedError(f"no prompt {step['prompt_key']} is served in {step['env']}")
    rendered = context.render(document["content"])
    trace = {"missing": rendered.missing, "prompt_key": document["key"], "version": document["version"]}
    if "variant" in document:
        trace["variant"] = document["variant"]
    return Outcome(output=rendered.text, trace=trace)


def _served(step: Step, context: Context) -> dict[str, Any] | None:
    places = Environment.objects.filter(workspace_id=context.run.workspace_id, name=step["env"])
    environment = visible_to(context.run.actor, places).first()
    if environment is None:
        return None
    return documents.find(environment=environment, key=step["prompt_key"], unit=context.run.unit)


STEP = StepType(
    name="prompt",
    summary="Fill a prompt of the registry, as an application would be served it.",
    fields=PromptStep,
    run=run,
    trace_fields=("missing", "prompt_key", "version", "variant"),
)
