"""Change the input without a model."""

from collections.abc import Callable, Mapping
from typing import Any

from rest_framework import serializers

from workflows.steps.base import Context, Outcome, StepSerializer, StepType

OPERATIONS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "trim": str.strip,
    "title": str.title,
    "capitalize": str.capitalize,
}


class TransformStep(StepSerializer):
    op = serializers.ChoiceField(choices=list(OPERATIONS))

    default_error_messages = {"invalid_choice": f"expected one of: {', '.join(OPERATIONS)}"}


def run(step: Mapping[str, Any], context: Context) -> Outcome:
    return Outcome(output=OPERATIONS[step["op"]](context.input), trace={"op": step["op"]})


STEP = StepType(name="transform", fields=TransformStep, run=run)
