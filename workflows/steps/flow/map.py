"""Run steps for each item of a list, some at once."""

from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, StepFailedError, StepSerializer, StepType, kind_of
from workflows.steps.fields.plain import WholeField
from workflows.steps.fields.references import StepsField

MAX_ITEMS = 1000
MAX_AT_ONCE = 16


class MapStep(StepSerializer):
    steps = StepsField(help_text="Run for each item, which they see as {{item}} and {{input}}, its place as {{index}}.")
    concurrency = WholeField(
        required=False, min_value=1, max_value=MAX_AT_ONCE, help_text="Items at work at once; 4 if not said."
    )


async def run(step: Step, context: Context) -> Outcome:
    items = context.input
    if not isinstance(items, list):
        raise StepFailedError(f"expected a list to go through, not {kind_of(items)}")
    if len(items) > MAX_ITEMS:
        raise StepFailedError(f"expected at most {MAX_ITEMS} items, not {len(items)}")
    return await context.engine.each(items, step.fields.get("concurrency", 4))


STEP = StepType(
    name="map",
    summary="Run steps for each item of a list. The output is the list of what they made.",
    fields=MapStep,
    run=run,
    trace_fields=("items", "prompt_tokens", "output_tokens", "cost_usd"),
    holds_steps=True,
)
