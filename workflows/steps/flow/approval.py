"""Wait until somebody approves."""

from django.utils import timezone

from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, RejectedError, StepSerializer, StepTimeoutError, StepType
from workflows.steps.fields.references import TemplateField
from workflows.steps.journal import Parked


class ApprovalStep(StepSerializer):
    message = TemplateField(required=False, help_text="What somebody is asked to approve.")


async def run(step: Step, context: Context) -> Outcome:
    """The step's `timeout` counts from when the approval was first asked for, also after a restart."""
    until = None if step.timeout is None else await context.engine.due(step.timeout)
    decision = await context.engine.decision()
    if decision is None:
        if until is not None and until <= timezone.now():
            raise StepTimeoutError(f"nobody approved within {step.timeout:g} seconds")
        context.run.refuse_to_wait()
        raise Parked(context.path, reason="approval", until=until)
    if not decision.approved:
        raise RejectedError(f"{decision.by} rejected it{decision.comment and f': {decision.comment}'}")
    trace = {"decision": "approved", "by": decision.by, "comment": decision.comment}
    return Outcome(output=context.input, trace=trace)


STEP = StepType(
    name="approval",
    summary="Wait until somebody approves. The output is the input.",
    fields=ApprovalStep,
    run=run,
    trace_fields=("decision", "by", "comment"),
    waits=True,
)
