"""Choose where the run goes on: at the first branch whose condition holds."""

from typing import Any

from governance.api.serializers import ApiSerializer
from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, StepSerializer, StepType
from workflows.steps.fields.conditions import ConditionField
from workflows.steps.fields.references import TargetField

MAX_BRANCHES = 20


class BranchSerializer(ApiSerializer):
    """A way to go on."""

    when = ConditionField()
    goto = TargetField(help_text="The id of a later step, or `end`.")


class ConditionStep(StepSerializer):
    branches = BranchSerializer(many=True, max_length=MAX_BRANCHES)  # type: ignore[call-arg]  # the list's
    otherwise = TargetField(required=False, help_text="Where to go on if no branch holds: the next step if not said.")


async def run(step: Step, context: Context) -> Outcome:
    target: str | None = step.fields.get("otherwise")
    chosen: Any = None
    for number, branch in enumerate(step["branches"]):
        if await context.holds(branch["when"]):
            chosen, target = number, branch["goto"]
            break
    return Outcome(output=context.input, trace={"branch": chosen, "goto": target})


STEP = StepType(
    name="condition",
    summary="Go on at the first branch whose condition holds. The output is the input.",
    fields=ConditionStep,
    run=run,
    trace_fields=("branch", "goto"),
)
