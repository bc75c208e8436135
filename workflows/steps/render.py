"""Fill a template."""

from collections.abc import Mapping
from typing import Any

from agents.execution import render_strictly
from governance.api.fields import ContentField
from workflows.steps.base import Context, Outcome, StepSerializer, StepType


class RenderStep(StepSerializer):
    template = ContentField()


def run(step: Mapping[str, Any], context: Context) -> Outcome:
    rendered = render_strictly(step["template"], context.names, strict=context.strict)
    return Outcome(output=rendered.text, trace={"missing": rendered.missing})


STEP = StepType(name="render", fields=RenderStep, run=run)
