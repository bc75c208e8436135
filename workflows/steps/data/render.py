"""Fill a template."""

from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, StepSerializer, StepType
from workflows.steps.fields.references import TemplateField


class RenderStep(StepSerializer):
    template = TemplateField()


async def run(step: Step, context: Context) -> Outcome:
    rendered = context.render(step["template"])
    return Outcome(output=rendered.text, trace={"missing": rendered.missing})


STEP = StepType(name="render", summary="Fill a template.", fields=RenderStep, run=run, trace_fields=("missing",))
