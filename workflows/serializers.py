"""The bodies of the workflow endpoints."""

from typing import Any

from rest_framework import serializers

from governance.api.fields import FlagField, KeyField, ObjectField, StringField
from governance.api.serializers import AnswerSerializer, ApiSerializer, ErrorSerializer
from workflows.definition import MAX_STEPS
from workflows.steps import STEP_TYPES


class StepsField(serializers.Field[Any, Any, Any, Any]):
    """The steps as they are sent; workflows.definition checks them when they are saved."""

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        kinds = []
        for name, step_type in STEP_TYPES.items():
            kind = schema._map_serializer(step_type.fields(), direction)
            kind["properties"]["type"] = {"type": "string", "enum": [name]}
            kinds.append(kind)
        return {"type": "array", "minItems": 1, "maxItems": MAX_STEPS, "items": {"oneOf": kinds}}

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class WorkflowSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = StringField(required=False, max_length=36)
    key = KeyField()
    name = StringField(required=False, allow_blank=True, max_length=200)
    description = StringField(required=False, allow_blank=True, max_length=2000)
    steps = StepsField()
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class WorkflowRunRequestSerializer(ApiSerializer):
    variables = ObjectField(required=False, default=dict, help_text="`input` is the first step's input.")
    strict = FlagField(required=False, default=False, help_text="A variable without a value is an error.")
    unit = StringField(required=False, max_length=500, help_text="Who a rollout's variant sticks to.")


class TraceEntrySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=list(STEP_TYPES))
    output = serializers.CharField(allow_null=True)
    error = serializers.CharField(required=False)


class WorkflowRunSerializer(AnswerSerializer):
    output = serializers.CharField()
    steps = TraceEntrySerializer(many=True)
    run_id = serializers.UUIDField()


class WorkflowRunErrorSerializer(ErrorSerializer):
    steps = TraceEntrySerializer(many=True, required=False)
    run_id = serializers.UUIDField(required=False)
