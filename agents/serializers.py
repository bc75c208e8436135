"""The bodies of agents and of runs."""

from typing import Any

from rest_framework import serializers

from agents.providers.registry import PROVIDERS
from governance.api.fields import (
    ContentField,
    FlagField,
    IdField,
    KeyField,
    ObjectField,
    PatternField,
    StringField,
)
from governance.api.serializers import AnswerSerializer, ApiSerializer, ErrorSerializer


class AgentSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = StringField(required=False, max_length=36)
    key = KeyField()
    name = StringField(required=False, allow_blank=True, max_length=200)
    description = StringField(required=False, allow_blank=True, max_length=2000)
    prompt = ContentField(required=False, help_text="The prompt itself; or else `prompt_key`.")
    prompt_key = KeyField(required=False, allow_blank=True, help_text="A registry prompt, resolved at each run.")
    env = StringField(required=False, max_length=50, default="prod", source="environment.name")
    provider = StringField(required=False, max_length=50, default="mock")
    model = StringField(required=False, allow_blank=True, max_length=200)
    config = ObjectField(required=False)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        values = dict(attrs)
        if "environment" in values:
            values["env"] = values.pop("environment")["name"]
        return values


class RunRequestSerializer(ApiSerializer):
    """What a run of an agent can be given."""

    variables = ObjectField(required=False, default=dict)
    provider = StringField(required=False, max_length=50)
    model = StringField(required=False, allow_blank=True, max_length=200)
    config = ObjectField(required=False, default=dict)
    unit = StringField(required=False, max_length=500)
    strict = FlagField(required=False, default=False)
    stream = FlagField(required=False, default=False)
    api_key = PatternField(
        r"^[\x21-\x7e]+\Z",  # it becomes a header's value
        expected="ASCII characters without white space",
        required=False,
        max_length=500,
        write_only=True,
    )
    base_url = StringField(required=False, max_length=500)

    def validate_stream(self, value: bool) -> bool:
        if value:
            raise serializers.ValidationError("streaming is not available yet; leave it out or send false")
        return value


class PlaygroundPromptSerializer(RunRequestSerializer):
    """A run of a stored prompt's draft."""

    id = IdField(error_messages={"required": "expected either the id of a prompt or content"})


class PlaygroundContentSerializer(RunRequestSerializer):
    """A run of a text that is not stored."""

    content = ContentField()
    workspace_id = StringField(required=False, max_length=36, help_text="Where the run is logged.")


class ResultSerializer(serializers.Serializer[Any]):
    provider = serializers.CharField()
    model = serializers.CharField()
    output = serializers.CharField()
    prompt_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.FloatField(allow_null=True)
    latency_ms = serializers.IntegerField()
    finish_reason = serializers.CharField(allow_null=True)


class RunAnswerSerializer(AnswerSerializer):
    rendered = serializers.CharField()
    missing = serializers.ListField(child=serializers.CharField())
    result = ResultSerializer()
    run_id = serializers.UUIDField()


class RunErrorSerializer(ErrorSerializer):
    rendered = serializers.CharField(required=False)
    run_id = serializers.UUIDField(required=False)


class ProviderSerializer(serializers.Serializer[Any]):
    name = serializers.ChoiceField(choices=list(PROVIDERS))
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not the serializer's label
    default_model = serializers.CharField()
    needs_key = serializers.BooleanField()
    configured = serializers.BooleanField()


class ProvidersSerializer(AnswerSerializer):
    data = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]  # the contract's name
    details = ProviderSerializer(many=True)
