"""Send a text to a model. The call is a run of its own in the log, under the workflow's."""

from rest_framework import serializers

from agents.fields import ParametersField
from agents.providers import registry
from agents.runtime import execution
from agents.runtime.invocations import Plan, Subject
from governance.api.fields import StringField
from governance.core.errors import InvalidInputError
from prompts.content.rendering import Rendered, as_text
from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, OwnCall, StepFailedError, StepSerializer, StepType, on_database
from workflows.steps.fields.references import TemplateField

TRACE_FIELDS = (
    *("provider", "model", "prompt_tokens", "output_tokens", "cached_tokens", "tokens_estimated"),
    *("cost_usd", "latency_ms", "finish_reason"),
)
#: Those that are there only when they have a value.
OPTIONAL_TRACE_FIELDS = ("refusal", "unsent")


class ModelStep(StepSerializer):
    provider = StringField(style={"suggest": "providers"}, required=False, max_length=50, default="mock")
    model = StringField(required=False, allow_blank=True, max_length=200, default="")
    config = ParametersField(style={"widget": "json"}, required=False, default=dict)
    prompt = TemplateField(required=False, help_text="What the model is sent; the step's input if not said.")

    def validate_provider(self, value: str) -> str:
        try:
            return registry.find_and_lock(value).name
        except InvalidInputError as error:
            raise serializers.ValidationError(error.message.removeprefix("provider: ")) from None


async def run(step: Step, context: Context) -> Outcome:
    rendered = Rendered(as_text(context.input), [])
    if "prompt" in step.fields:
        rendered = context.render(step["prompt"])
    plan = await on_database(_plan, step, context, rendered)
    answer = await execution.run_here(actor=context.run.actor, plan=plan)
    trace = {name: answer["result"][name] for name in TRACE_FIELDS}
    trace |= {name: answer["result"][name] for name in OPTIONAL_TRACE_FIELDS if name in answer["result"]}
    if "prompt" in step.fields:
        trace["missing"] = rendered.missing
    return Outcome(output=answer["result"]["output"], trace=trace)


def _plan(step: Step, context: Context, rendered: Rendered) -> Plan:
    run = context.run
    own = run.own_call or OwnCall()
    try:
        call = registry.prepare(
            provider=step["provider"],
            model=step["model"],
            prompt=rendered.text,
            config=step["config"],
            api_key=own.api_key,
            base_url=own.base_url,
        )
    except InvalidInputError as error:  # the provider or its key is gone since the workflow was saved
        raise StepFailedError(error.message.partition(": ")[2].removesuffix(registry.OR_SEND_IT)) from None
    subject = Subject(
        source="model",
        workspace_id=run.workspace_id,
        parent_id=run.run_id,
        ref_id=run.workflow_id,
        ref_key=run.workflow_key,
    )
    return Plan(subject=subject, rendered=rendered, call=call, depth=run.depth + 1)


STEP = StepType(
    name="model",
    summary="Send a text to a model.",
    fields=ModelStep,
    run=run,
    trace_fields=(*TRACE_FIELDS, *OPTIONAL_TRACE_FIELDS, "missing"),
)
