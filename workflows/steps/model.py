"""Send the input to a model."""

import time
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from agents import execution
from agents.providers import registry
from governance.api.fields import ObjectField, StringField
from governance.errors import InvalidInputError
from workflows.steps.base import Context, Outcome, StepFailedError, StepSerializer, StepType


class ModelStep(StepSerializer):
    provider = StringField(required=False, max_length=50, default="mock")
    model = StringField(required=False, allow_blank=True, max_length=200, default="")
    config = ObjectField(required=False, default=dict)

    def validate_provider(self, value: str) -> str:
        try:
            return registry.find(value).name
        except InvalidInputError as error:
            raise serializers.ValidationError(error.message.removeprefix("provider: ")) from None


def run(step: Mapping[str, Any], context: Context) -> Outcome:
    try:
        call = registry.prepare(
            provider=step["provider"], model=step["model"], prompt=context.input, config=step["config"]
        )
    except InvalidInputError as error:  # the provider or its key is gone since the workflow was saved
        raise StepFailedError(error.message.partition(": ")[2].removesuffix(registry.OR_SEND_IT)) from None
    started = time.monotonic()
    completion = execution.complete(call)
    latency_ms = round((time.monotonic() - started) * 1000)
    trace = execution.result_of(call, completion, latency_ms=latency_ms)
    return Outcome(output=trace.pop("output"), trace=trace)


STEP = StepType(name="model", fields=ModelStep, run=run)
