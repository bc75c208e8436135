"""The bodies of the workflow endpoints."""

from typing import Any

from rest_framework import serializers

from agents.fields import SecretField, without_empty
from governance.api.fields import FlagField, IdField, KeyField, ObjectField, StringField
from governance.api.serializers import AnswerSerializer, ApiSerializer, ErrorSerializer
from prompts.serializers import STATUSES, LabelField
from workflows.definition import schema
from workflows.definition.secrets import masked
from workflows.models import WorkflowVersion
from workflows.steps import STEP_TYPES


class DefinitionField(serializers.Field[Any, Any, Any, Any]):
    """A part of a definition, as it is sent. The whole is checked when it is saved, by workflows.definition.parsing."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class StepsField(DefinitionField):
    """The steps. Secrets in them go out masked."""

    def openapi(self, schema_: Any, direction: str) -> dict[str, Any]:
        return schema.steps()

    def to_representation(self, value: Any) -> Any:
        return [masked(step) for step in value]


class InputsField(DefinitionField):
    def openapi(self, schema_: Any, direction: str) -> dict[str, Any]:
        return schema.inputs()


class OutputsField(DefinitionField):
    def openapi(self, schema_: Any, direction: str) -> dict[str, Any]:
        return schema.outputs()


INPUTS = "The variables that it takes, by their names."
OUTPUTS = "What it gives, by names: templates, or JMESPath expressions over all its steps."


class WorkflowSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = StringField(required=False, max_length=36)
    key = KeyField()
    name = StringField(required=False, allow_blank=True, max_length=200)
    description = StringField(required=False, allow_blank=True, max_length=2000)
    inputs = InputsField(required=False, help_text=INPUTS)
    steps = StepsField(required=False, default=list)
    outputs = OutputsField(required=False, help_text=OUTPUTS)
    version = LabelField(required=False, default="v1")
    status = serializers.ChoiceField(choices=STATUSES, read_only=True)
    live_version = serializers.CharField(source="live.label", default=None, read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class WorkflowImportSerializer(ApiSerializer):
    """A workflow as a document: what it is, without what became of it."""

    workspace_id = StringField(required=False, max_length=36)
    key = KeyField()
    name = StringField(required=False, allow_blank=True, max_length=200)
    description = StringField(required=False, allow_blank=True, max_length=2000)
    inputs = InputsField(required=False, help_text=INPUTS)
    steps = StepsField(required=False, default=list)
    outputs = OutputsField(required=False, help_text=OUTPUTS)


class WorkflowVersionSerializer(ApiSerializer):
    id = serializers.UUIDField()
    workflow_id = serializers.UUIDField()
    key = serializers.CharField(source="workflow.key")
    version = serializers.CharField(source="label")
    inputs = InputsField()
    steps = StepsField()
    outputs = OutputsField()
    note = serializers.CharField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    live = serializers.SerializerMethodField()

    def get_live(self, version: WorkflowVersion) -> bool:
        return version.workflow.live_id == version.pk


class WorkflowPublishSerializer(ApiSerializer):
    id = IdField()
    version = LabelField(required=False)
    note = StringField(required=False, allow_blank=True, max_length=1000)


class WorkflowRollbackSerializer(ApiSerializer):
    id = IdField()
    version = StringField(max_length=64)


class WorkflowRunRequestSerializer(ApiSerializer):
    variables = ObjectField(required=False, default=dict, help_text="`input` is the first step's input.")
    strict = FlagField(required=False, default=False, help_text="A variable without a value is an error.")
    unit = StringField(required=False, max_length=500, help_text="Who a rollout's variant sticks to.")
    version = StringField(
        required=False, max_length=64, help_text="`draft`, `live`, or a label; the live one, else the draft."
    )
    background = FlagField(required=False, default=False, help_text="Answer 202 at once, and run in the background.")
    api_key = SecretField(
        required=False, allow_blank=True, help_text="For the model steps of this run. It is not kept anywhere."
    )
    base_url = StringField(
        required=False, allow_blank=True, max_length=500, help_text="Where the model steps of this run call."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return without_empty(attrs)


class TraceEntrySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=list(STEP_TYPES))
    id = serializers.CharField(required=False)
    output = serializers.JSONField(allow_null=True)
    error = serializers.CharField(required=False)
    skipped = serializers.BooleanField(required=False, help_text="Its condition did not hold.")
    attempts = serializers.IntegerField(required=False, help_text="Attempts, when it took more than one.")


class WorkflowRunSerializer(AnswerSerializer):
    output = serializers.JSONField(allow_null=True)
    outputs = ObjectField(required=False, help_text="What a workflow gives that declares outputs.")
    steps = TraceEntrySerializer(many=True)
    run_id = serializers.UUIDField()


class WorkflowRunErrorSerializer(ErrorSerializer):
    steps = TraceEntrySerializer(many=True, required=False)
    run_id = serializers.UUIDField(required=False)
