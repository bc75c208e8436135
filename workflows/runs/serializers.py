"""The bodies of the endpoints of runs, schedules and webhooks."""

from typing import Any

from rest_framework import serializers

from governance.api.fields import FlagField, IdField, ObjectField, StringField
from governance.api.serializers import AnswerSerializer, ApiSerializer
from workflows.models import AttemptState, RunState, StepAttempt, Trigger, WorkflowRun


class AnyField(serializers.JSONField):
    """Any JSON value."""

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"nullable": True}


class AttemptSerializer(ApiSerializer):
    """One attempt at a step."""

    path = serializers.CharField()
    id = serializers.CharField(source="step_id")
    name = serializers.CharField()
    type = serializers.CharField()
    attempt = serializers.IntegerField(source="number")
    status = serializers.ChoiceField(choices=AttemptState.choices)
    input = AnyField()
    output = AnyField()
    error = serializers.CharField(allow_null=True)
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    decision = ObjectField(allow_null=True)
    prompt_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.FloatField(allow_null=True)
    trace = ObjectField(allow_null=True)
    superseded = serializers.BooleanField()


class WorkflowRunRowSerializer(ApiSerializer):
    """A run as it is listed."""

    id = serializers.UUIDField()
    workspace_id = serializers.CharField()
    workflow_id = serializers.UUIDField()
    key = serializers.CharField()
    version = serializers.CharField()
    status = serializers.ChoiceField(choices=RunState.choices)
    error = serializers.CharField()
    trigger = serializers.ChoiceField(choices=Trigger.choices)
    trigger_id = serializers.UUIDField(allow_null=True)
    actor = serializers.CharField()
    waits_for = serializers.CharField()
    due_at = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField()
    worked_ms = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class WorkflowRunDetailSerializer(WorkflowRunRowSerializer):
    """A run with what came of it, and its trace: one entry an attempt, in the order they began."""

    variables = ObjectField(allow_null=True)
    output = AnyField()
    outputs = ObjectField(allow_null=True)
    steps = serializers.SerializerMethodField()

    def get_steps(self, run: WorkflowRun) -> list[dict[str, Any]]:
        rows: Any = StepAttempt.objects.filter(run_id=run.pk).order_by("id")
        return list(AttemptSerializer(rows, many=True).data)

    def openapi_steps(self) -> Any:
        return AttemptSerializer(many=True)


class StartedSerializer(AnswerSerializer):
    """A run that goes on in the background."""

    run_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=RunState.choices)


class ResumeSerializer(ApiSerializer):
    locals()["from"] = StringField(required=False, max_length=500, help_text="A step's path; else where it ended.")


class DecisionSerializer(ApiSerializer):
    comment = StringField(required=False, allow_blank=True, max_length=2000, default="")
    step = StringField(required=False, max_length=500, help_text="Which approval, where several wait.")


class TriggerSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = serializers.CharField(read_only=True, source="workflow.workspace_id")
    workflow_id = IdField()
    name = StringField(max_length=200)
    enabled = FlagField(required=False, default=True)
    variables = ObjectField(required=False, default=dict)
    last_at = serializers.DateTimeField(read_only=True, allow_null=True)
    last_run_id = serializers.UUIDField(read_only=True, allow_null=True)
    last_error = serializers.CharField(
        read_only=True, help_text="Why its last start failed; empty once one has gone well."
    )
    created_by = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class ScheduleSerializer(TriggerSerializer):
    cron = StringField(max_length=100, help_text="Minute, hour, day of month, month, day of week.")
    timezone = StringField(required=False, max_length=64, default="UTC", help_text="Such as Europe/Berlin.")
    next_at = serializers.DateTimeField(read_only=True, allow_null=True)


class WebhookSerializer(TriggerSerializer):
    url = serializers.SerializerMethodField(help_text="Where to send signed calls, on this server.")

    def get_url(self, webhook: Any) -> str:
        return f"/api/hooks/{webhook.pk}"


class NewWebhookSerializer(WebhookSerializer):
    """With the secret, which is shown this once."""

    secret = serializers.CharField(read_only=True)


class RunEventSerializer(serializers.Serializer[Any]):
    """One event of a run's stream."""

    event = serializers.ChoiceField(choices=["run", "step", "end"])
    data = serializers.CharField(help_text="The run or the attempt at a step, as JSON.")  # type: ignore[assignment]
