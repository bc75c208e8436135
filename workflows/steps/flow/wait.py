"""Wait for some time."""

import asyncio

from django.utils import timezone

from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, StepSerializer, StepType
from workflows.steps.fields.plain import NumberField
from workflows.steps.journal import Parked

MAX_SECONDS = 30 * 24 * 3600
#: Seconds up to which a run waits in memory. For a longer time it is put aside and takes no resources.
MAX_IN_MEMORY = 10.0


class WaitStep(StepSerializer):
    seconds = NumberField(min_value=0, max_value=MAX_SECONDS)


async def run(step: Step, context: Context) -> Outcome:
    due = await context.engine.due(step["seconds"])
    left = (due - timezone.now()).total_seconds()
    if left > MAX_IN_MEMORY:
        context.run.refuse_to_wait()
        raise Parked(context.path, reason="wait", until=due)
    await asyncio.sleep(max(0.0, left))
    return Outcome(output=context.input)


STEP = StepType(
    name="wait", summary="Wait for some time. The output is the input.", fields=WaitStep, run=run, waits=True
)
