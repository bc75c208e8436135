"""Fields that name things: ids, and references to steps, inputs and variables, checked when a workflow is saved."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from governance.api.fields import ContentField, ObjectField, PatternField, StringField
from governance.api.serializers import ApiSerializer
from prompts.content.rendering import variables_of
from workflows.language import paths
from workflows.language.names import IDENTIFIER, INPUT_NAME
from workflows.language.structure import END
from workflows.language.values import names_in
from workflows.steps.fields.plain import JsonField
from workflows.steps.fields.scope import Referring

MAX_STEPS = 50
#: Maps inside maps.
MAX_NESTING = 3


class IdentifierField(PatternField):
    """An id by which other steps refer to a step, or the name of an output."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "letters, digits and _ (first a letter or _)"
        super().__init__(IDENTIFIER, expected=expected, **{"max_length": 100, **kwargs})


class InputNameField(PatternField):
    """The name of an input: what can be a variable in a template."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "1 to 128 letters and digits of any script, _ and -"
        super().__init__(INPUT_NAME, expected=expected, **{"max_length": 128, **kwargs})


class StepIdField(IdentifierField):
    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if value == END:
            raise serializers.ValidationError(f"{END} is where a run goes that is to end; expected another id")
        return value


class TemplateField(Referring, ContentField):
    """A text with `{{ name }}` in it."""

    widget = "template"

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        self.check_names(variables_of(text))
        return text


class PathField(Referring, StringField):
    """A JMESPath expression over all that a step can see."""

    widget = "path"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": paths.MAX_LENGTH, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        path = super().to_internal_value(data)
        try:
            names = paths.references(path)
        except paths.PathError as error:
            raise serializers.ValidationError(str(error)) from None
        self.check_names(names)
        return path


class ValuesField(Referring, ObjectField):
    """A JSON object whose strings are templates; one that is a single `{{ name }}` becomes that value itself."""

    widget = "values"

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = super().to_internal_value(data)
        self.check_names(names_in(values))
        return values

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {}}


class AnyValuesField(Referring, JsonField):
    """Any JSON value whose strings are templates."""

    widget = "json"

    def to_internal_value(self, data: Any) -> Any:
        self.check_names(names_in(data))
        return data


class TargetField(Referring, StringField):
    """The id of a step where the run goes on: of the same list, and after this one, so that nothing can loop."""

    widget = "target"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 100, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        target = super().to_internal_value(data)
        if self.scope and target != END and target not in self.scope.later:
            there = ", ".join([*self.scope.later, END])
            raise serializers.ValidationError(f"there is no step {target} after this one; expected one of: {there}")
        return target


class GotoSerializer(ApiSerializer):
    goto = TargetField()


class OnErrorField(serializers.Field[Any, Any, Any, Any]):
    """What a failure means for the run: `fail`, `continue`, or `{"goto": the id of a later step}`."""

    widget = "on_error"

    WORDS = ("fail", "continue")

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        goto = {"type": "string", "maxLength": 100, "minLength": 1, "description": "The id of a later step, or `end`."}
        jump = {"type": "object", "required": ["goto"], "additionalProperties": False, "properties": {"goto": goto}}
        return {"oneOf": [{"type": "string", "enum": list(self.WORDS)}, jump]}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and data in self.WORDS:
            return data
        if not isinstance(data, Mapping):
            raise serializers.ValidationError('expected fail, continue or {"goto": the id of a later step}')
        goto = GotoSerializer(data=data, context=self.context)
        goto.is_valid(raise_exception=True)
        return dict(goto.validated_data)

    def to_representation(self, value: Any) -> Any:
        return value


class StepsField(Referring, serializers.Field[Any, Any, Any, Any]):
    """Steps inside a step."""

    widget = "steps"

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        items = {"$ref": "#/components/schemas/WorkflowStep"}
        return {"type": "array", "minItems": 1, "maxItems": MAX_STEPS, "items": items}

    def to_internal_value(self, data: Any) -> Any:
        if self.scope is None or self.scope.parse_steps is None:
            return data
        if self.scope.nesting >= MAX_NESTING:
            raise serializers.ValidationError(f"expected steps inside of steps at most {MAX_NESTING} deep")
        return self.scope.parse_steps(data, self.scope.inside())

    def to_representation(self, value: Any) -> Any:
        return value
