"""The bodies of runs and of their statistics."""

from typing import Any

from rest_framework import serializers

from governance.api.fields import StringField
from governance.api.serializers import AnswerSerializer, ApiSerializer
from governance.runs.models import Run


class RunSerializer(ApiSerializer):
    id = serializers.UUIDField()
    source = serializers.CharField(help_text="playground, agent, workflow, model (a step's call) or tool")  # type: ignore[assignment]  # a field
    ref_id = serializers.UUIDField(allow_null=True)
    ref_key = serializers.CharField()
    prompt_id = serializers.UUIDField(allow_null=True)
    parent_id = serializers.UUIDField(allow_null=True, help_text="The run that started this one.")
    env = serializers.CharField(source="environment")
    version = serializers.CharField()
    variant = serializers.CharField()
    provider = serializers.CharField()
    model = serializers.CharField()
    prompt_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cached_tokens = serializers.IntegerField(allow_null=True, help_text="Those of the prompt that the provider had.")
    tokens_estimated = serializers.BooleanField()
    cost_usd = serializers.FloatField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    status = serializers.CharField()
    error = serializers.CharField()
    actor = serializers.CharField()
    workspace_id = serializers.CharField()
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Run) -> dict[str, Any]:
        shown = super().to_representation(instance)
        actor = self.context["request"].user
        # Providers repeat what they were sent in their errors. Here the cheap half of the rule of
        # `shows_texts_to` is enough: what a run sent to workflows that it called itself is not in its own error.
        if actor.environment and instance.actor_identity != actor.identity and instance.parent_id is not None:
            shown["error"] = ""
        return shown


class FeedbackSerializer(ApiSerializer):
    score = serializers.FloatField(min_value=-1, max_value=1, help_text="From -1 (useless) to 1 (just right).")
    comment = StringField(required=False, allow_blank=True, max_length=2000)
    actor = serializers.CharField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate_score(self, value: float) -> float:
        if isinstance(self.initial_data["score"], bool | str):
            raise serializers.ValidationError("expected a number from -1 to 1")
        return value


class RunDetailSerializer(RunSerializer):
    """One run, with its texts where the workspace keeps them."""

    prompt = serializers.CharField(source="content.prompt", default=None, allow_null=True)
    output = serializers.CharField(source="content.output", default=None, allow_null=True)
    feedback = FeedbackSerializer(many=True, read_only=True)

    def to_representation(self, instance: Run) -> dict[str, Any]:
        shown = super().to_representation(instance)
        actor = self.context["request"].user
        if not instance.shows_texts_to(actor.environment, actor.identity):
            shown |= {"prompt": None, "output": None, "error": "", "feedback": []}
        return shown


class FiguresSerializer(serializers.Serializer[Any]):
    """What some runs come to. Quantiles are off by 19 % at most."""

    count = serializers.IntegerField()
    ok = serializers.IntegerField()
    error = serializers.IntegerField(help_text="Failed or interrupted.")
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField(help_text="Of the runs whose cost is known.")
    unpriced = serializers.IntegerField(help_text="Runs that ended and whose cost nobody knows.")
    avg_latency_ms = serializers.FloatField()
    p50_latency_ms = serializers.FloatField(allow_null=True)
    p95_latency_ms = serializers.FloatField(allow_null=True)


class ByProviderSerializer(FiguresSerializer):
    provider = serializers.CharField()


class ByModelSerializer(FiguresSerializer):
    model = serializers.CharField()


class ByVersionSerializer(FiguresSerializer):
    version = serializers.CharField()


class ByVariantSerializer(FiguresSerializer):
    variant = serializers.CharField()


class PointSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    count = serializers.IntegerField()
    error = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()
    avg_latency_ms = serializers.FloatField()


class RunStatsSerializer(AnswerSerializer):
    since = serializers.DateTimeField(allow_null=True, help_text="The whole hours that are covered.")
    until = serializers.DateTimeField(allow_null=True)
    total = serializers.IntegerField()
    ok = serializers.IntegerField()
    error = serializers.IntegerField()
    running = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()
    unpriced = serializers.IntegerField()
    avg_latency_ms = serializers.FloatField()
    p50_latency_ms = serializers.FloatField(allow_null=True)
    p95_latency_ms = serializers.FloatField(allow_null=True)
    by_provider = ByProviderSerializer(many=True)
    by_model = ByModelSerializer(many=True)
    by_version = ByVersionSerializer(many=True)
    by_variant = ByVariantSerializer(many=True)
    interval = serializers.ChoiceField(choices=["hour", "day", "month"])
    series = PointSerializer(many=True)
