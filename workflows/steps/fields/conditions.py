"""Conditions: structured comparisons that a step may have, checked when a workflow is saved."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from governance.api.serializers import ApiSerializer
from workflows.language import conditions
from workflows.steps.fields.plain import ChoiceField, JsonField
from workflows.steps.fields.references import PathField


class ComparisonSerializer(ApiSerializer):
    """Something looked at, and perhaps compared with a value."""

    path = PathField(help_text="A JMESPath expression over all that the step can see.")
    op = ChoiceField([*conditions.COMPARISONS, *conditions.TESTS])
    value = JsonField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        alone = attrs["op"] in conditions.TESTS
        if alone and "value" in attrs:
            raise serializers.ValidationError({"value": [f"{attrs['op']} compares with nothing: expected no value"]})
        if not alone and "value" not in attrs:
            raise serializers.ValidationError({"value": ["required"]})
        return attrs


class ConditionField(serializers.Field[Any, Any, Any, Any]):
    """A structured condition: `{"path", "op", "value"}`, or `and`, `or` and `not` of such."""

    widget = "condition"

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"$ref": "#/components/schemas/WorkflowCondition"}

    def to_internal_value(self, data: Any) -> Any:
        left = [conditions.MAX_PARTS]
        return self._part(data, 1, left)

    def to_representation(self, value: Any) -> Any:
        return value

    def _part(self, data: Any, depth: int, left: list[int]) -> dict[str, Any]:
        left[0] -= 1
        if left[0] < 0 or depth > conditions.MAX_DEPTH:
            limits = f"{conditions.MAX_PARTS} parts and {conditions.MAX_DEPTH} levels"
            raise serializers.ValidationError(f"expected a condition of at most {limits}")
        if not isinstance(data, Mapping):
            raise serializers.ValidationError("expected an object with path and op, or with and, or, not")
        joined = [name for name in ("and", "or", "not") if name in data]
        if not joined:
            comparison = ComparisonSerializer(data=data, context=self.context)
            comparison.is_valid(raise_exception=True)
            return dict(comparison.validated_data)
        if len(data) != 1:
            raise serializers.ValidationError(f"expected {joined[0]} alone in its object")
        name, parts = joined[0], data[joined[0]]
        if name == "not":
            return {"not": self._part(parts, depth + 1, left)}
        if not isinstance(parts, list) or not parts:
            raise serializers.ValidationError(f"{name}: expected a list of conditions")
        return {name: [self._part(part, depth + 1, left) for part in parts]}
