"""Take something out of what there is, by a path."""

from governance.api.fields import FlagField
from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, StepFailedError, StepSerializer, StepType
from workflows.steps.fields.plain import JsonField
from workflows.steps.fields.references import PathField


class ExtractStep(StepSerializer):
    path = PathField(help_text="A JMESPath expression over all that the step can see, such as input.items[0].name.")
    default = JsonField(required=False, allow_null=True, help_text="The output when nothing is found.")
    required = FlagField(required=False, help_text="It is a failure when nothing is found.")  # type: ignore[assignment]


async def run(step: Step, context: Context) -> Outcome:
    found = await context.search(step["path"])
    if found is None:
        if step.fields.get("required"):
            raise StepFailedError(f"{step['path']}: nothing is found there")
        found = step.fields.get("default")
    return Outcome(output=found)


STEP = StepType(name="extract", summary="Take something out of what there is.", fields=ExtractStep, run=run)
