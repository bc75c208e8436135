"""Check the input by a JSON Schema."""

from typing import Any

from rest_framework import serializers

from agents.runtime import schemas
from governance.api.fields import ObjectField
from governance.core.errors import InvalidInputError
from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, StepFailedError, StepSerializer, StepType
from workflows.steps.fields.scope import Referring


class SchemaField(Referring, ObjectField):
    """A JSON Schema (draft 2020-12)."""

    widget = "schema"

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        schema = super().to_internal_value(data)
        try:
            schemas.check(schema, field="schema", allowance=self.scope.schemas if self.scope else None)
        except InvalidInputError as error:
            raise serializers.ValidationError(error.message.removeprefix("schema: ")) from None
        return schema


class ValidateStep(StepSerializer):
    schema = SchemaField(help_text="A JSON Schema (draft 2020-12) that the input has to fit.")


async def run(step: Step, context: Context) -> Outcome:
    try:
        problem = await context.run.budget.examine(step["schema"], context.input)
    except schemas.UncheckableError as error:
        raise StepFailedError(f"the input can't be checked by the schema: {error}") from None
    if problem is not None:
        raise StepFailedError(f"the input does not fit the schema: {problem}")
    return Outcome(output=context.input)


STEP = StepType(
    name="validate",
    summary="Check the input by a JSON Schema. The output is the input.",
    fields=ValidateStep,
    run=run,
)
